# The link (PROTOCOL-DEVICE.md section 2): an ordered, exactly-once byte stream over a terminal that
# loses, cuts and garbles. No input or output here: text and the time go in, text comes out.
import zlib, struct
from binascii import a2b_base64, b2a_base64, b2a_hex
from collections import deque

DATA_PACKET, ACK_PACKET, BYE_PACKET = 1, 2, 3
ACK_NOW = REPLY = 1
STUCK = 2
# Characters of the longest packet, ':' and ';' included.
PACKET_LIMIT = 16384
# Payload bytes of one DATA packet. Small packets survive the loss of single 2 kB chunks, large ones
# cost less; so it doubles after SEGMENT_RUN packets without loss and halves at a loss.
SEGMENT_START, SEGMENT_LEAST, SEGMENT_MOST, SEGMENT_RUN = 3072, 1024, 12240, 64
WINDOW_START, WINDOW_LEAST, WINDOW_MOST = 65536, 16384, 4194304
# Seconds until what needs no haste is acknowledged; an agent that must not be sent anything while it types
# gets it when a burst is over.
ACK_DELAY, ACK_DELAY_RACES = .02, .2
# Seconds of the retransmission time-out: before the round trip is known, at least, at most; the
# margin covers the bridge's delayed acknowledgement.
RTO_START, RTO_LEAST, RTO_MOST, RTO_MARGIN = 1., .3, 30., .2
# Where an acknowledgement comes once a window only.
RTO_LEAST_RACES = 1.
# Bytes beyond the next needed one that are kept for reassembly.
REASSEMBLY_LIMIT = 8388608
RANGES_MOST = 32


def u48(n):
    return struct.pack('>HI', n >> 32, n & 0xffffffff)


class Link(object):
    """`digest` gives H(secret + word); `mine` and `theirs` are the directions b'down' and b'up';
    `deliver(bytes)` takes the stream in order, `bye(text)` the other side's farewell."""

    def __init__(self, digest, mine, theirs, deliver, bye, now):
        self.tag, self.key = digest(mine)[:4], zlib.crc32(digest(mine)[4:12])
        self.their_tag, self.their_key = digest(theirs)[:4], zlib.crc32(digest(theirs)[4:12])
        self.deliver, self.bye = deliver, bye
        # Sending: out holds the bytes from offset una on; next is the first one never sent.
        self.out, self.una, self.next = bytearray(), 0, 0
        self.pn = self.best = self.recover = 0
        self.sacks, self.segment = [], SEGMENT_START
        # Receiving: need is the next offset, held the [start, bytearray] beyond it, seen the
        # largest packet number, top the end of the farthest byte.
        self.need, self.held, self.seen, self.top = 0, [], 0, 0
        self.heard = now
        # Something came that is no mere answer, and much of it; what is in the way is no full-duplex path.
        self.lively = self.bulk = self.races = False
        self.fresh(now)

    def fresh(self, now):
        """Forgets what was true of the previous text stream only."""
        self.rest = b''
        self.flight, self.flying = deque(), 0
        self.window, self.threshold, self.full = WINDOW_START, WINDOW_MOST, False
        self.srtt, self.path = None, Path(self.races)
        # Bytes acknowledged on this stream, and since when so many.
        self.done, self.done_at = 0, now
        # How often the oldest bytes were sent again in vain; `backoff` may start anew meanwhile.
        self.vain = self.backoff = self.unasked = self.run = 0
        self.moved = now
        self.ack_now = self.ack_at = None
        self.reply = 0
        self.recover = self.pn
        self.lost = self.holes(self.una, self.next)

    def attach(self, now):
        """A new text stream: everything in flight counts as lost; ask for the other's state."""
        self.fresh(now)
        self.ask()

    def ask(self):
        """Asks for a sign of life."""
        self.ack_now, self.reply = True, REPLY

    # Sending

    def room(self):
        """Bytes that would go out at once if written now."""
        waiting = self.una + len(self.out) - self.next
        for s, e in self.lost:
            waiting += e - s
        return self.window - self.flying - waiting

    def packet(self, head, payload=b''):
        body = b''.join((self.tag, head, payload))
        return b''.join((b':', b2a_base64(body + struct.pack('>I', zlib.crc32(body, self.key)))[:-1], b';'))

    def farewell(self, reason):
        return self.packet(struct.pack('B', BYE_PACKET) + reason.encode()[:200])

    def ack(self):
        held = self.held[:RANGES_MOST]
        # Sent twice in vain: our acknowledgements arrive, but what we say may not.
        flags = self.reply | (STUCK if self.vain > 1 else 0)
        self.reply, self.ack_now, self.ack_at = 0, None, None
        return self.packet(struct.pack('>BB', ACK_PACKET, flags) + u48(self.need) + struct.pack(
            '>IB', self.seen & 0xffffffff, len(held)) + b''.join(u48(s) + u48(s + len(b)) for s, b in held))

    def data(self, s, e, now, ask):
        self.pn += 1
        if not self.flying:
            self.moved, self.done_at = max(self.moved, now), now
        self.flying += e - s
        self.unasked += e - s
        if self.flying + self.segment > self.window or not self.races and self.unasked * 4 >= self.window:
            ask = ACK_NOW
        if ask:
            self.unasked = 0
        self.flight.append((self.pn, s, e, now, ask, self.done, self.done_at))
        return self.packet(struct.pack('>BIB', DATA_PACKET, self.pn & 0xffffffff, ask) + u48(s),
                           self.out[s - self.una:e - self.una])

    def rto(self):
        least = RTO_START if self.srtt is None else max(RTO_LEAST_RACES if self.races else RTO_LEAST, 2 * self.srtt + RTO_MARGIN)
        return min(RTO_MOST, least * 2 ** min(self.backoff, 7))

    def quiet(self, now):
        """No burst of the bridge is in progress, or its end is acknowledged now."""
        return self.ack_now or self.ack_at is None or now >= self.ack_at

    def due(self):
        """The time at which pull() must be called again though nothing happens, or None."""
        times = [] if self.ack_at is None else [self.ack_at]
        if self.una < self.next:
            times.append(self.moved + self.rto())
        return min(times) if times else None

    def pull(self, now, most):
        """Packets to send now, about `most` characters."""
        text = []
        if self.una < self.next and now >= self.moved + self.rto():
            # Nothing came back: one packet, beyond the window if need be, that must be answered.
            self.backoff += 1
            self.vain += 1
            self.moved = now
            text.append(self.data(self.una, min(self.next, self.una + self.segment), now, ACK_NOW))
        end = self.una + len(self.out)
        self.full = False
        while most > 0 and (self.lost or self.next < end):
            size = min(self.segment, max(SEGMENT_LEAST, self.window // 4))
            if self.lost:
                s, e = self.lost.pop(0)
                holes = self.holes(s, e)
                if not holes:
                    continue
                (s, e), self.lost[:0] = holes[0], holes[1:]
            else:
                s, e = self.next, end
            left = self.window - self.flying
            if left < min(size, e - s):
                self.full = True
                if s < self.next:
                    self.lost.insert(0, (s, e))
                break
            if e - s > size:
                if s < self.next:
                    self.lost.insert(0, (s + size, e))
                e = s + size
            if s == self.next:
                self.next = e
            text.append(self.data(s, e, now, 0))
            most -= len(text[-1])
        if self.flying + self.segment > self.window:
            self.full = True
        if self.ack_now or self.ack_at is not None and (text or now >= self.ack_at):
            text.insert(0, self.ack())
        return b''.join(text)

    def holes(self, s, e):
        """The parts of [s, e) that the receiver is not known to have."""
        found, s = [], max(s, self.una)
        for a, b in self.sacks:
            if a >= e:
                break
            if s < a:
                found.append((s, a))
            s = max(s, b)
        if s < e:
            found.append((s, e))
        return found

    def acked(self, recv, pn, sacks, now):
        pn = near(pn, self.pn)
        if recv > self.next or pn > self.pn or recv < self.una or pn < self.best:
            return
        moved = recv > self.una
        del self.out[:recv - self.una]
        self.una, self.best, self.sacks = recv, pn, sacks
        good, lost, loss = 0, 0, False
        while self.flight and self.flight[0][0] <= pn:
            number, s, e, sent, asked, done, done_at = self.flight.popleft()
            holes = self.holes(s, e)
            moved = True
            self.flying -= e - s
            good += e - s
            self.run += 1
            if holes:
                lost += sum(b - a for a, b in holes)
                self.lost += holes
                self.lost.sort()
                loss = loss or number > self.recover
            if asked and number == pn:
                self.sample(now - sent, (self.done + good - lost - done) / max(now - done_at, 1e-6), now)
        self.done, self.done_at = self.done + good - lost, now
        if self.una == self.next:
            self.flight.clear()
            self.flying = 0
        if moved:
            self.moved, self.vain, self.backoff = now, 0, 0
        if loss:
            self.recover, self.run = self.pn, 0
            self.threshold = max(WINDOW_LEAST, self.path.lost(self.window) // 2)
            self.window = min(self.window, self.threshold)
            self.segment = max(SEGMENT_LEAST, self.segment // 2)
            return
        if self.run >= SEGMENT_RUN:
            self.run, self.segment = 0, min(SEGMENT_MOST, self.segment * 2)
        if self.path.drain:
            return
        most = min(WINDOW_MOST, self.path.most() or WINDOW_MOST)
        if self.window > most:
            self.window = self.threshold = max(most, self.window - good // 8)
        elif self.full:
            if self.window >= self.threshold:
                good = self.segment * good // self.window
            self.window = min(most, self.window + good)

    def sample(self, trip, rate, now):
        self.srtt = trip if self.srtt is None else self.srtt * .875 + trip * .125
        self.path.measured(trip, rate, self.full, now)
        # With an agent that races, a small window would bring the acknowledgements that it does not bear.
        renewed = None if self.races else self.path.renew(self.window, self.full, self.srtt, now)
        if renewed:
            # What is still growing quickly goes on so.
            self.window, self.threshold = renewed[0] or self.window, max(self.threshold, renewed[1] or 0)

    # Receiving

    def feed(self, text, now):
        """Takes terminal input cut anywhere, with foreign text anywhere."""
        pieces = (self.rest + text).split(b';')
        rest = pieces.pop()
        start = rest.rfind(b':')
        self.rest = rest[start:] if 0 <= len(rest) - start < PACKET_LIMIT and start >= 0 else b''
        for piece in pieces:
            start = piece.rfind(b':')
            if start < 0 or len(piece) - start >= PACKET_LIMIT:
                continue
            try:
                raw = a2b_base64(piece[start + 1:])
            except ValueError:
                continue
            if raw[:4] == self.their_tag and len(raw) > 8 and struct.pack(
                    '>I', zlib.crc32(raw[:-4], self.their_key)) == raw[-4:]:
                self.take(raw[4], raw[5:-4], now)

    def take(self, kind, body, now):
        if kind == DATA_PACKET and len(body) > 11:
            pn, flags, high, low = struct.unpack_from('>IBHI', body)
            self.heard, self.lively, self.bulk = now, True, len(body) > BULK
            self.seen = max(self.seen, near(pn, self.seen))
            if flags & ACK_NOW:
                self.ack_now = True
            elif self.ack_at is None:
                self.ack_at = now + (ACK_DELAY_RACES if self.races else ACK_DELAY)
            self.arrived(high << 32 | low, body[11:])
        elif kind == ACK_PACKET and len(body) > 11 and len(body) == 12 + 12 * body[11]:
            flags, high, low, pn = struct.unpack_from('>BHII', body)
            n = struct.unpack_from('>' + 'HI' * 2 * body[11], body, 12)
            n = [n[i] << 32 | n[i + 1] for i in range(0, len(n), 2)]
            self.heard = now
            if flags & REPLY:
                self.ack_now = True
                if self.backoff > 1:
                    # The bridge is there, perhaps again: what it does not have is not for in half a minute.
                    self.backoff = 0
                    self.moved = now - self.rto()
            self.acked(high << 32 | low, pn, list(zip(n[::2], n[1::2])), now)
        elif kind == BYE_PACKET:
            self.heard = now
            self.bye(body.decode('utf-8', 'replace'))

    def arrived(self, start, data):
        end = start + len(data)
        if end <= self.need or end > self.need + REASSEMBLY_LIMIT:
            self.ack_now = True
            return
        if start > self.need:
            if start > max(self.top, self.need):
                self.ack_now = True
            self.top = max(self.top, end)
            self.hold(start, data)
            return
        self.deliver(data[self.need - start:])
        self.need = end
        while self.held and self.held[0][0] <= self.need:
            start, data = self.held.pop(0)
            self.deliver(bytes(data[self.need - start:]))
            self.need = max(self.need, start + len(data))

    def hold(self, start, data):
        """Keeps bytes beyond a gap, as few merged pieces in ascending order."""
        held = self.held
        i = len(held)
        while i and held[i - 1][0] > start:
            i -= 1
        over = held[i - 1][0] + len(held[i - 1][1]) - start if i else -1
        if over >= len(data):
            self.ack_now = True
            return
        if over >= 0:
            i -= 1
            held[i][1].extend(data[over:])
        else:
            held.insert(i, [start, bytearray(data)])
        start, data = held[i]
        while i + 1 < len(held) and held[i + 1][0] <= start + len(data):
            start2, data2 = held.pop(i + 1)
            data += data2[start + len(data) - start2:]


def near(low, reference):
    """The number with these low 32 bits that is nearest to the reference."""
    return max(0, reference + ((low - reference + 0x80000000) & 0xffffffff) - 0x80000000)
