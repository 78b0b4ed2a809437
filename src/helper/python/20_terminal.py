# Terminal modes of a pty-req: RFC 4254 section 8 opcodes to termios.
import struct, fcntl, termios

# Control characters by opcode from 1 on.
CHARACTERS = ('INTR QUIT ERASE KILL EOF EOL EOL2 START STOP SUSP DSUSP REPRINT WERASE LNEXT FLUSH'
              ' SWTC STATUS DISCARD').split()
# First opcode, index of the field in termios' list, names of the flags.
FLAGS = ((30, 0, 'IGNPAR PARMRK INPCK ISTRIP INLCR IGNCR ICRNL IUCLC IXON IXANY IXOFF IMAXBEL IUTF8'),
         (50, 3, 'ISIG ICANON XCASE ECHO ECHOE ECHOK ECHONL NOFLSH TOSTOP IEXTEN ECHOCTL ECHOKE PENDIN'),
         (70, 1, 'OPOST OLCUC ONLCR OCRNL ONOCR ONLRET'),
         (90, 2, 'CS7 CS8 PARENB PARODD'))
# Python's termios does not know IUTF8; the value is that of Linux.
EXTRA = {'IUTF8': 0o40000}


def set_modes(fd, modes):
    """Applies what this system knows and ignores the rest, as sshd does."""
    a = termios.tcgetattr(fd)
    for code, value in modes:
        if 1 <= code <= len(CHARACTERS):
            place = getattr(termios, 'V' + CHARACTERS[code - 1], None)
            if place is not None:
                # 255 means none; Linux spells that 0.
                a[6][place] = bytes([0 if value >= 255 else value])
        elif code in (128, 129):
            a[code - 124] = getattr(termios, 'B%d' % value, a[code - 124])
        for first, field, names in FLAGS:
            names = names.split()
            if first <= code < first + len(names):
                name = names[code - first]
                bit = getattr(termios, name, EXTRA.get(name, 0))
                a[field] = a[field] | bit if value else a[field] & ~bit
    termios.tcsetattr(fd, termios.TCSANOW, a)


def set_size(fd, cols, rows, x, y):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', *(min(n, 65535) for n in (rows, cols, x, y))))
