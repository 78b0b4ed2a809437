"""The helper's link on its own: no processes, no sockets, a virtual clock. `link_sim.py FILE NAME [SEED]`
loads the helper text FILE, runs one check and prints its findings as JSON."""
import base64
import hashlib
import heapq
import json
import random
import struct
import sys
import zlib

from peer import Peer

SECRET = '5e' * 32


def helper(path):
    scope = {'P': {'secret': SECRET, 'grace': 60}}
    with open(path, encoding='utf-8') as f:
        exec(f.read(), scope)
    return scope


class End(object):
    def __init__(self, scope, mine, theirs):
        self.got = bytearray()
        self.byes = []
        self.link = scope['Link'](scope['digest'], mine, theirs, self.take, self.byes.append, 0.)

    def take(self, data):
        self.got += data


def bridge_packets(data, size):
    """DATA packets of the bridge's direction, made by the reference peer."""
    peer = Peer(SECRET)
    at, pn, packets = 0, 0, []
    while at < len(data):
        pn += 1
        packets.append(peer.packet(struct.pack('>BIBHI', 1, pn, 0, 0, at) + data[at:at + size]))
        at += size
    return packets


def splits(scope, seed):
    """Every cut of the input in two, with foreign text around, gives the same stream."""
    data = bytes(range(256))
    packets = bridge_packets(data, 100)
    stream = b'motd: hello; world\r\n:half a packet' + packets[0] + b'\r\n' + packets[1] + b':;;::' + packets[2] + b'$ '
    good = 0
    for cut in range(len(stream) + 1):
        end = End(scope, b'down', b'up')
        end.link.feed(stream[:cut], 1.)
        end.link.feed(stream[cut:], 1.)
        good += end.got == data
    end = End(scope, b'down', b'up')
    for byte in stream:
        end.link.feed(bytes([byte]), 1.)
    return {'cuts': len(stream) + 1, 'good': good, 'bytewise': end.got == data}


def damage(scope, seed):
    """Damaged text never raises and never delivers a byte that was not sent."""
    rnd = random.Random(seed)
    data = bytes(rnd.getrandbits(8) for _ in range(5000))
    packets = bridge_packets(data, 500)
    wrong, complete = 0, 0
    for _ in range(300):
        end = End(scope, b'down', b'up')
        text = bytearray(b''.join(rnd.sample(packets, len(packets))))
        for _ in range(rnd.randrange(6)):
            at = rnd.randrange(len(text))
            what = rnd.randrange(4)
            if what == 0:
                text[at] = rnd.getrandbits(8)
            elif what == 1:
                del text[at:at + rnd.randrange(800)]
            elif what == 2:
                text[at:at] = bytes(rnd.getrandbits(8) for _ in range(rnd.randrange(40)))
            else:
                text[at:at] = b';' * rnd.randrange(3) + b':' * rnd.randrange(3)
            if not text:
                text = bytearray(b' ')
        while text:
            n = rnd.randrange(1, 3000)
            end.link.feed(bytes(text[:n]), 1.)
            del text[:n]
        wrong += not data.startswith(bytes(end.got))
        end.link.feed(b';' + b''.join(packets), 2.)
        complete += end.got == data
    return {'wrong': wrong, 'complete': complete}


def bounds(scope, seed):
    """Lengths and offsets that no packet may have."""
    peer = Peer(SECRET)
    end = End(scope, b'down', b'up')
    data = lambda pn, offset, payload: peer.packet(struct.pack('>BIBHI', 1, pn, 0, offset >> 32, offset & 0xffffffff) + payload)
    found = {}
    fits = 12240
    while len(data(1, 0, b'x' * (fits + 3))) <= 16384:
        fits += 3
    found['longest'] = len(data(1, 0, b'x' * fits))
    end.link.feed(data(1, 0, b'x' * (fits + 3)), 1.)
    found['tooLong'] = len(end.got)
    end.link.feed(data(2, 0, b'x' * fits), 1.)
    found['fits'] = len(end.got) == fits
    limit = 8 << 20
    end.link.feed(data(3, fits + limit - 4, b'tail'), 1.)
    end.link.feed(data(4, fits + limit - 3, b'over'), 1.)
    found['held'] = [[s - fits, len(b)] for s, b in end.link.held] == [[limit - 4, 4]]
    end.link.feed(b'A' * 100000, 1.)
    end.link.feed(b':' + b'A' * 100000, 1.)
    found['kept'] = len(end.link.rest)
    for body in (b'', b'\1', b'\2' + b'\0' * 11, b'\2' + b'\0' * 11 + b'\1', b'\2' + b'\xff' * 12, b'\1' + b'\0' * 11, b'\3\xff\xfe', b'\x09xyz'):
        end.link.feed(peer.packet(body), 1.)
    # An acknowledgement of bytes never sent changes nothing.
    end.link.out += b'hello'
    end.link.pull(1., 99999)
    end.link.feed(peer.packet(struct.pack('>BBHIIB', 2, 0, 0, 99, 1, 0)), 1.)
    found['nonsense'] = end.link.una
    end.link.feed(peer.packet(struct.pack('>BBHIIB', 2, 0, 0, 5, 1, 0)), 1.)
    found['acked'] = [end.link.una, end.link.flying, len(end.link.out)]
    found['byes'] = end.byes
    # Packet numbers wrap.
    near = scope['near']
    found['near'] = [near(5, 2 ** 32 - 2), near(0xffffffff, 2 ** 32 + 3), near(7, 5), near(0, 3)]
    # Overlapping and repeated pieces are merged.
    end = End(scope, b'down', b'up')
    for pn, (offset, payload) in enumerate([(10, b'klmno'), (5, b'fgh'), (7, b'hijkl'), (10, b'klm'), (20, b'uv'), (0, b'abcdef')]):
        end.link.feed(data(pn + 1, offset, payload), 1.)
    found['merged'] = [bytes(end.got).decode(), [[s, bytes(b).decode()] for s, b in end.link.held]]
    return found


def acks(scope, seed):
    """When and what the helper acknowledges."""
    peer = Peer(SECRET)

    def read(text):
        found = []
        for piece in text.split(b';')[:-1]:
            raw = base64.b64decode(piece[1:])
            assert zlib.crc32(hashlib.sha256(bytes.fromhex(SECRET) + b'down').digest()[4:12] + raw[:-4]) == struct.unpack('>I', raw[-4:])[0]
            if raw[4] == 2:
                flags, hi, lo, pn, count = struct.unpack('>BHIIB', raw[5:17])
                ranges = struct.unpack('>' + 'HI' * 2 * count, raw[17:-4])
                found.append({'reply': flags, 'recv': lo, 'pn': pn, 'ranges': list(ranges[1::2])})
            else:
                found.append('data')
        return found

    def data(pn, offset, payload, flags=0):
        return peer.packet(struct.pack('>BIBHI', 1, pn, flags, 0, offset) + payload)

    found = {}
    link = End(scope, b'down', b'up').link
    link.attach(1.)
    found['attach'] = read(link.pull(1., 9999))
    link.feed(data(1, 0, b'abc'), 1.)
    found['notYet'] = read(link.pull(1., 9999))
    found['due'] = round(link.due() - 1., 3)
    found['delayed'] = read(link.pull(1.02, 9999))
    link.feed(data(2, 3, b'def', 1), 2.)
    found['asked'] = read(link.pull(2., 9999))
    link.feed(data(4, 20, b'xyz') + data(6, 30, b'123'), 3.)
    found['gap'] = read(link.pull(3., 9999))
    link.feed(data(7, 30, b'123'), 4.)
    found['repeat'] = read(link.pull(4., 9999))
    link.feed(data(8, 6, b'g'), 5.)
    link.out += b'out'
    found['piggyback'] = read(link.pull(5., 9999))
    link.feed(peer.packet(struct.pack('>BBHIIB', 2, 1, 0, 3, 1, 0)), 6.)
    found['reply'] = read(link.pull(6., 9999))
    link.feed(peer.packet(struct.pack('>BBHIIB', 2, 0, 0, 3, 1, 0)), 7.)
    found['ackOfAck'] = read(link.pull(99., 9999))
    found['idle'] = link.due()
    for n in range(40):
        link.feed(data(20 + n, 100 + 10 * n, b'.'), 100.)
    found['ranges'] = len(read(link.pull(100., 9999))[0]['ranges']) // 2
    return found


def transfer(scope, seed):
    """Both directions at once over a path that loses chunks, delays, and is replaced now and then."""
    rnd = random.Random(seed)
    loss = rnd.choice([0, .001, .02, .1, .25])
    delay = rnd.choice([.0005, .01, .1])
    rate = rnd.choice([2e5, 2e6, 5e7])
    total = rnd.choice([1, 3000, 200000, 1500000])
    replace = rnd.random() < .5
    ends = [End(scope, b'down', b'up'), End(scope, b'up', b'down')]
    sent = [rnd.getrandbits(8 * total).to_bytes(total, 'big') for _ in ends]
    written = [0, 0]
    now, order, events, epoch = 0., 0, [], 0
    free = [0., 0.]
    excess, replaced = 0, 0
    for end in ends:
        end.link.attach(now)
    while any(len(ends[1 - i].got) < total for i in (0, 1)):
        for i, end in enumerate(ends):
            while written[i] < total and end.link.room() > 0:
                n = min(total - written[i], rnd.choice([1, 100, 16384]))
                end.link.out += sent[i][written[i]:written[i] + n]
                written[i] += n
            before = end.link.flying
            text = end.link.pull(now, 1 << 20)
            # One probe packet may go beyond the window, which may have shrunk under what flies.
            if end.link.flying - before > end.link.segment:
                excess = max(excess, end.link.flying - end.link.window)
            while text:
                n = rnd.randrange(1, 2049)
                chunk, text = text[:n], text[n:]
                free[i] = max(free[i], now) + n / rate
                if rnd.random() >= loss:
                    order += 1
                    heapq.heappush(events, (free[i] + delay, order, epoch, 1 - i, chunk))
        times = [e.link.due() for e in ends]
        times = [t for t in times if t is not None] + [e[0] for e in events[:1]]
        if not times:
            return {'stalled': [len(e.got) for e in ends], 'total': total, 'loss': loss}
        now = max(now, min(times))
        if now > 100000:
            return {'late': now, 'loss': loss, 'total': total}
        if replace and rnd.random() < .002:
            epoch += 1
            replaced += 1
            free = [now, now]
            for end in ends:
                end.link.attach(now)
        while events and events[0][0] <= now:
            _, _, age, to, chunk = heapq.heappop(events)
            if age == epoch:
                ends[to].link.feed(chunk, now)
    return {'equal': all(ends[1 - i].got == sent[i] for i in (0, 1)), 'excess': excess, 'seconds': round(now, 1),
            'parameters': [loss, delay, rate, total, replaced]}


def transfers(scope, seed):
    runs = [dict(transfer(scope, seed * 1000 + n), seed=seed * 1000 + n) for n in range(40)]
    return {'runs': len(runs), 'bad': [r for r in runs if not r.get('equal') or r['excess'] > 0],
            'slowest': max(r.get('seconds', 0) for r in runs)}


def window(scope, seed):
    """What a link with always more to send gets out of a path of `rate` bytes a second that is `trip` seconds
    long, or from a quarter on `then`, and up to `jitter` more; and how long its packets wait there in the
    middle case. Both in the second half."""
    found, dice = [], random.Random(seed)
    for rate, trip, then, jitter in ((20e6, .002, .002, 0), (20e6, .06, .06, 0), (1e6, .1, .1, 0), (8e6, .2, .2, 0),
                                     (8e6, .003, .003, .01), (2e6, .04, .04, .02), (8e6, .04, .08, 0), (1e6, .02, .06, 0)):
        end, path, waits, free, got, now, half, last = End(scope, b'down', b'up').link, [], [], 0., 0, 0., None, 0.
        while now < 40:
            now += .001
            if now > 20 and half is None:
                half = got
            while path and path[0][0] <= now:
                at, pn, got, asked = path.pop(0)
                if asked:
                    end.acked(got, pn, [], now)
            if len(end.out) < 5000000:
                end.out += bytes(5000000)
            before = end.pn
            end.pull(now, 100000000)
            for pn, s, e, asked in [(f[0], f[1], f[2], f[4]) for f in end.flight if f[0] > before]:
                free = max(free, now) + (e - s) / rate
                if now > 20:
                    waits.append(free - now)
                last = max(last, free + (trip if now < 10 else then) + jitter * dice.random())
                path.append((last, pn, e, asked))
        found.append({'share': (got - half) / 20 / rate, 'queue': sorted(waits)[len(waits) // 2], 'trip': then + jitter, 'rate': rate})
    return found


def hangs(scope, seed):
    """How long an answer is waited for before the login is ended, hang by hang, and after a late answer."""
    login, link, ended, waits, now = scope['Login'](), End(scope, b'down', b'up').link, [], [], 100.
    login.finish = lambda leaders: ended.append(list(leaders))

    def ask(now):
        link.heard, link.bulk = now, True
        now = login.due(link, {1: 1})
        login.look(link, {1: 1}, now)
        return now

    def attach():
        login.attached(None)
        login.leader = 7

    for n in range(9):
        attach()
        if n != 3:
            # An answer in time; without one, nothing is known of the path.
            link.heard = now = ask(now) + .1
            login.look(link, {1: 1}, now)
        asked = ask(now)
        now = login.due(link, {1: 1})
        login.look(link, {1: 1}, now)
        waits.append(round(now - asked, 2))
        now += 5
    attach()
    link.heard = now = ask(now) + .4
    login.look(link, {1: 1}, now)
    asked = ask(now)
    return {'ended': ended, 'waits': waits, 'late': round(login.due(link, {1: 1}) - asked, 2)}


def back(scope, seed):
    """What is sent again, and when, to a bridge that was away, and asks from the terminal of before."""
    peer = Peer(SECRET)
    link, now = End(scope, b'down', b'up').link, 1.
    link.attach(now)
    link.out += b'output'
    link.pull(now, 9999)
    for n in range(6):
        now = link.due()
        assert link.pull(now, 9999)
    waits = link.due() - now
    nothing = link.pull(now + .01, 9999)
    link.feed(peer.packet(struct.pack('>BBHIIB', 2, 1, 0, 0, 0, 0)), now + .02)
    text = [base64.b64decode(piece[1:]) for piece in link.pull(now + .02, 9999).split(b';')[:-1]]
    acks = [raw[5] for raw in text if raw[4] == 2]
    again = [raw[16:-4].decode() for raw in text if raw[4] == 1]
    # Asked again at once: it is on its way.
    link.feed(peer.packet(struct.pack('>BBHIIB', 2, 1, 0, 0, 0, 0)), now + .03)
    text = [base64.b64decode(piece[1:]) for piece in link.pull(now + .03, 9999).split(b';')[:-1]]
    acks += [raw[5] for raw in text if raw[4] == 2]
    more = [raw for raw in text if raw[4] == 1]
    next = round(link.due() - now, 1)
    # It arrives: nothing is stuck any more.
    link.feed(peer.packet(struct.pack('>BBHIIB', 2, 1, 0, 6, link.pn, 0)), now + .04)
    acks += [base64.b64decode(piece[1:])[5] for piece in link.pull(now + .04, 9999).split(b';')[:-1]]
    return {'waits': waits, 'nothing': len(nothing), 'acks': acks, 'again': again, 'more': len(more), 'next': next}


if __name__ == '__main__':
    print(json.dumps(globals()[sys.argv[2]](helper(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)))
