# What is known of the path: how long a round trip takes without a queue, and how much arrives. It gives the
# window that fills the path and lets little queue up before it, so that a typed key does not wait behind a
# copy (the idea of BBR). The bridge's half is src/link/path.ts.
from collections import deque

# Seconds of queueing that the window may cause, and bytes that it may hold in any case.
QUEUE_TIME, QUEUE_LEAST = .002, 32768
# For an agent that must not be sent anything while it types: acknowledgements come once a window, and
# one that meets output may end the session.
QUEUE_TIME_RACES, QUEUE_LEAST_RACES = .2, 1048576
# Round trips that are looked at; and seconds after which the path is measured anew, the first time sooner:
# with these shares of the window and of what the path holds without a queue.
TRIPS, RENEW_TIME, RENEW_FIRST, DRAINED_WINDOW, DRAINED_PATH = 8, 10., 1., .25, .5


def middle(numbers):
    return sorted(numbers)[(len(numbers) - 1) // 2]


class Path(object):
    def __init__(self, races):
        self.queue, self.floor = (QUEUE_TIME_RACES, QUEUE_LEAST_RACES) if races else (QUEUE_TIME, QUEUE_LEAST)
        # Seconds of a round trip without a queue, as far as it was seen so; and when to measure that anew.
        self.least = self.again = None
        self.trips, self.rates = deque(maxlen=TRIPS), deque(maxlen=TRIPS)
        # While it is drained: from when what is measured counts, until when, and the window before.
        self.drain, self.drained = None, []

    def measured(self, trip, rate, full, now):
        """A round trip and the bytes a second during it; full: the window was, so that this is the path's rate."""
        if not self.drain and (full or rate > max(self.rates or [0])):
            self.rates.append(rate)
        self.trips.append(trip)
        usual = middle(self.trips)
        self.least = usual if self.least is None else min(self.least, usual)
        if self.again is None:
            self.again = now + RENEW_FIRST
        if self.drain and now >= self.drain[0]:
            self.drained.append(trip)

    def longest(self):
        """Seconds of the longest round trip that the window may cause. A quarter of it goes out at once, and
        queues behind itself for as long as that share of the round trip."""
        return self.least + max(self.queue, self.least / 4)

    def most(self):
        """The largest window that does not lengthen what queues, or None where nothing does. The least of the
        last trips holds what waits in the path all the time, and no jitter."""
        if not self.trips or min(self.trips) <= self.longest():
            return None
        return max(self.floor, int(max(self.rates or [0]) * self.longest()))

    def renew(self, window, full, srtt, now):
        """What looks like a queue may be a path that has become longer, and the shortest trip may have held a queue
        from the beginning. Now and then this gives (the window for the next two trips, None), in which no queue
        of ours is left and what is measured is the path; and in the end (None, that to which it may grow again
        quickly). None in between."""
        if not self.drain:
            # Where the window limits nothing, no queue is ours.
            if not full or now < self.again:
                return None
            self.drain, self.drained = (now + srtt, now + 2 * srtt, window), []
            return max(WINDOW_LEAST, int(min(DRAINED_WINDOW * window, DRAINED_PATH * max(self.rates or [0]) * self.least))), None
        _, until, before = self.drain
        if now < until or not self.drained:
            return None
        least = middle(self.drained)
        threshold = WINDOW_MOST if least > self.longest() else before
        self.drain, self.least, self.again = None, least, now + RENEW_TIME
        self.trips.clear()
        return None, threshold

    def lost(self, window):
        """Something was: a drain is over. Gives the window before it."""
        if self.drain:
            window = self.drain[2]
            self.drain = self.again = None
        return window

