"""Anneals in Python what `dpprof/search/_anneal.c` anneals: the same moves, far more slowly."""

from __future__ import annotations

import math

from dpprof.search.problem import Array

_F, _B, _I, _W, _PAIR = range(5)
_NEVER = 2**63 - 1
_MASK = 2**64 - 1


class Random:
    """The core's random numbers (xorshift64*); state, as every generator has."""

    def __init__(self, seed: int) -> None:
        self.state = seed & _MASK

    def next(self) -> int:
        """64 random bits."""
        state = self.state
        state ^= state << 13 & _MASK
        state ^= state >> 7
        state ^= state << 17 & _MASK
        self.state = state
        return state * 2685821657736338717 & _MASK

    def below(self, count: int) -> int:
        """A number from 0 to ``count - 1``."""
        return (self.next() >> 32) * count >> 32

    def coin(self) -> bool:
        """True half of the time."""
        return bool(self.next() >> 63)

    def quarter(self) -> bool:
        """True a quarter of the time."""
        return self.next() >> 62 == 0

    def distance(self) -> int:
        """1 or more, 4 on average."""
        far = 1
        while far < 40 and not self.quarter():
            far += 1
        return far

    def signed_distance(self) -> int:
        """The same either way."""
        return self.distance() if self.coin() else -self.distance()


class _Tables:
    """What the tokens mean, and the problem as lists."""

    def __init__(self, arrays: tuple[Array, ...]) -> None:
        sizes, lengths, links, weights, limits, message = arrays
        numbers: list[int] = sizes.tolist()
        self.ranks, self.directions, self.micro_batches, self.edges, self.mean = numbers
        self.lengths, self.links = lengths.tolist(), links.tolist()
        self.weights, self.limits = weights.tolist(), limits.tolist()
        self.transfer, self.duration = message.tolist()
        d = self.directions
        single = range(4 * d)
        self.operation = [token // d for token in single] + [_PAIR] * d**2
        pairs = [divmod(number, d) for number in range(d**2)]
        own = [token % d for token in single]
        self.forward = [o if k < d else -1 for k, o in zip(single, own, strict=True)]
        self.backward = [o if d <= k < 3 * d else -1 for k, o in zip(single, own, strict=True)]
        self.weight = [o if k >= 3 * d else -1 for k, o in zip(single, own, strict=True)]
        self.forward += [forward for forward, _ in pairs]
        self.backward += [backward for _, backward in pairs]
        self.weight += [-1] * d**2
        self.takes = [{link[way] for link in self.links} for way in (0, 1)]

    def single(self, operation: int, direction: int) -> int:
        return operation * self.directions + direction

    def token(self, forward: int, backward: int) -> int:
        if backward < 0:
            return self.single(_F, forward)
        if forward < 0:
            return self.single(_B, backward)
        return 4 * self.directions + forward * self.directions + backward


_Lists = list[list[int]]


class _AnnealStep:
    """One run of the orders by their dependencies."""

    def __init__(self, tables: _Tables, orders: _Lists) -> None:
        self.tables, self.orders = tables, orders
        places = tables.ranks * tables.directions
        self.ready = [
            [[-1 if at in tables.takes[way] else 0] * tables.micro_batches for at in range(places)]
            for way in (0, 1)
        ]
        self.counts = [[0] * places, [0] * places]
        self.edge_free = [0] * tables.edges
        self.waiting = [False] * tables.ranks
        self.awake = list(reversed(range(tables.ranks)))

    def value(self, limit: int) -> int:
        tables, ends = self.tables, [0] * self.tables.ranks
        left = [_work(tables, order, rank) for rank, order in enumerate(self.orders)]
        position, done = [0] * tables.ranks, 0
        worst, total = max(left), sum(left)  # of ends that no rank can be before
        while self.awake:
            rank = self.awake.pop()
            order = self.orders[rank]
            while position[rank] < len(order):
                token = order[position[rank]]
                start = self._inputs(rank, token, ends[rank])
                if start < 0:
                    self.waiting[rank] = True
                    break
                if start > ends[rank]:
                    total += start - ends[rank]
                    worst = max(worst, start + left[rank])
                    if self._value(worst, total) > limit:
                        return _NEVER
                length = tables.lengths[rank][token]
                ends[rank] = start + length
                left[rank] -= length
                self._publish(rank, token, ends[rank])
                position[rank] += 1
            done += position[rank] == len(order)
        return self._value(worst, total) if done == tables.ranks else _NEVER

    def _value(self, worst: int, total: int) -> int:
        return worst + total // self.tables.ranks * self.tables.mean // 1000

    def _inputs(self, rank: int, token: int, at: int) -> int:
        tables = self.tables
        for way, direction in enumerate((tables.forward[token], tables.backward[token])):
            if direction >= 0:
                place = rank * tables.directions + direction
                ready = self.ready[way][place][self.counts[way][place]]
                if ready < 0:
                    return -1
                at = max(at, ready)
        return at

    def _publish(self, rank: int, token: int, end: int) -> None:
        tables = self.tables
        for way, direction in enumerate((tables.forward[token], tables.backward[token])):
            if direction < 0:
                continue
            place = rank * tables.directions + direction
            number = self.counts[way][place]
            self.counts[way][place] += 1
            target, edge = tables.links[place][way], tables.links[place][2 + way]
            if target < 0:
                continue
            arrival = end
            if edge >= 0:
                sent = max(end, self.edge_free[edge])
                self.edge_free[edge] = sent + tables.transfer
                arrival = sent + tables.duration
            self.ready[way][target][number] = arrival
            if self.waiting[target // tables.directions]:
                self.waiting[target // tables.directions] = False
                self.awake.append(target // tables.directions)


def _work(tables: _Tables, order: list[int], rank: int) -> int:
    return sum(tables.lengths[rank][token] for token in order)


def _is_sound(tables: _Tables, order: list[int], rank: int) -> bool:
    d = tables.directions
    ahead, pending, held = [0] * d, [0] * d, 0
    for token in order:
        operation, weights = tables.operation[token], tables.weights[rank]
        forward, backward, weight = (
            tables.forward[token],
            tables.backward[token],
            tables.weight[token],
        )
        if backward >= 0:
            ahead[backward] -= 1
            if ahead[backward] < 0:
                return False
        if forward >= 0:
            ahead[forward] += 1
            held += weights[forward]
            if held > tables.limits[rank]:
                return False
        if operation == _I:
            pending[backward] += 1
        if weight >= 0:
            pending[weight] -= 1
            if pending[weight] < 0:
                return False
        if operation in (_B, _PAIR):
            held -= weights[backward]
        if weight >= 0:
            held -= weights[weight]
    return True


class _Moves:
    """Changes orders in place; every move says whether it changed anything."""

    def __init__(self, tables: _Tables, orders: _Lists) -> None:
        self.tables, self.orders = tables, orders

    def shift(self, rank: int, position: int, far: int) -> bool:
        order = self.orders[rank]
        target = min(max(position + far, 0), len(order) - 1)
        if target == position:
            return False
        order.insert(target, order.pop(position))
        return True

    def nearest(self, rank: int, position: int, wanted: tuple[int, int], way: int) -> int:
        operation, direction = wanted
        order, at = self.orders[rank], position + way
        while 0 <= at < len(order):
            token = order[at]
            right = direction < 0 or token == self.tables.single(operation, direction)
            if self.tables.operation[token] == operation and right:
                return at
            at += way
        return -1

    def exchange(self, rank: int, position: int, random: Random) -> bool:
        other, forwards = position + random.signed_distance(), random.coin()
        order, tables = self.orders[rank], self.tables
        if not 0 <= other < len(order):
            return False
        one, two = order[position], order[other]
        if _I in (tables.operation[one], tables.operation[two]):
            return False
        f1, f2 = tables.forward[one], tables.forward[two]
        b1, b2 = tables.backward[one], tables.backward[two]
        first, second = (f1, f2) if forwards else (b1, b2)
        if first < 0 or second < 0 or first == second:
            return False
        if forwards:
            f1, f2 = f2, f1
        else:
            b1, b2 = b2, b1
        order[position], order[other] = tables.token(f1, b1), tables.token(f2, b2)
        return True

    def join(self, rank: int, forward: int, backward: int, at_forward: bool) -> bool:
        order, tables = self.orders[rank], self.tables
        token = order[backward]
        direction = tables.backward[token]
        joined = tables.token(tables.forward[order[forward]], direction)
        if tables.operation[token] == _I:
            weight = self.nearest(rank, backward, (_W, direction), 1)
            if weight < 0:
                return False
            order.pop(weight)
            forward -= weight < forward
        order[forward if at_forward else backward] = joined
        order.pop(backward if at_forward else forward)
        return True

    def part(self, rank: int, position: int, random: Random) -> bool:
        order, tables = self.orders[rank], self.tables
        token = order[position]
        direction = tables.backward[token]
        split = random.quarter()
        far = 1 if random.below(3) else random.distance()
        forward_first = random.coin()
        forward = tables.single(_F, tables.forward[token])
        backward = tables.single(_I if split else _B, direction)
        second = min(position + far, len(order))
        order[position] = forward if forward_first else backward
        order.insert(second, backward if forward_first else forward)
        if split:
            start = (second if forward_first else position) + 1
            weight = start + random.below(len(order) - start + 1)
            order.insert(weight, tables.single(_W, direction))
        return True

    def split(self, rank: int, position: int, random: Random) -> bool:
        order, tables = self.orders[rank], self.tables
        direction = tables.backward[order[position]]
        far = random.distance() if random.coin() else 1 + random.below(len(order) - position)
        order[position] = tables.single(_I, direction)
        order.insert(min(position + far, len(order)), tables.single(_W, direction))
        return True

    def merge(self, rank: int, position: int) -> bool:
        order, tables = self.orders[rank], self.tables
        direction = tables.backward[order[position]]
        weight = self.nearest(rank, position, (_W, direction), 1)
        if weight < 0:
            return False
        order[position] = tables.single(_B, direction)
        order.pop(weight)
        return True

    def move(self, rank: int, position: int, random: Random) -> bool:
        operation, kind = self.tables.operation[self.orders[rank][position]], random.below(100)
        if kind < 40:
            return self.shift(rank, position, random.signed_distance())
        if kind < 50:
            return self.exchange(rank, position, random)
        match operation:
            case 0:
                wanted = _I if random.quarter() else _B
                way, keep = 1 if random.coin() else -1, random.coin()
                other = self.nearest(rank, position, (wanted, -1), way)
                return other >= 0 and self.join(rank, position, other, keep)
            case 1:
                if random.coin():
                    return self.split(rank, position, random)
                way, keep = 1 if random.coin() else -1, random.coin()
                other = self.nearest(rank, position, (_F, -1), way)
                return other >= 0 and self.join(rank, other, position, keep)
            case 2:
                return self.merge(rank, position)
            case 3:
                return self.shift(rank, position, 2 * random.signed_distance())
        return self.part(rank, position, random)

    def move_together(self, rank: int, position: int, random: Random) -> tuple[list[int], bool]:
        tables, order = self.tables, self.orders[rank]
        token, as_forward = order[position], random.coin()
        table = tables.weight
        if tables.backward[token] >= 0:
            table = tables.backward
        if tables.forward[token] >= 0 and (tables.backward[token] < 0 or as_forward):
            table = tables.forward
        direction = table[token]
        number = sum(table[before] == direction for before in order[:position])
        first = rank - random.below(rank + 1)
        last = rank + random.below(tables.ranks - rank)
        first = 0 if random.quarter() else first
        last = tables.ranks - 1 if random.quarter() else last
        same = random.next()
        touched, moved = [], False
        for one in range(first, last + 1):
            places = [at for at, k in enumerate(self.orders[one]) if table[k] == direction]
            if number < len(places):
                touched.append(one)
                moved |= self.move(one, places[number], Random(same | 1))
        return touched, moved

    def some(self, random: Random) -> tuple[list[int], bool]:
        rank = random.below(self.tables.ranks)
        if not self.orders[rank]:
            return [], False
        position = random.below(len(self.orders[rank]))
        if random.below(10) < 3:
            return self.move_together(rank, position, random)
        touched = [rank]
        if not self.move(rank, position, random):
            return touched, False
        while len(touched) < 4 and random.below(3) == 0:
            beside = rank + (1 if random.coin() else -1)
            if 0 <= beside < self.tables.ranks and random.below(3):
                rank = beside
            touched.append(rank)
            self.move(rank, random.below(len(self.orders[rank])), random)
        return touched, True


def anneal(*arguments: object) -> None:
    """The same call as the compiled core's; see `dpprof.search.anneal.anneal`."""
    arrays: tuple[Array, ...] = arguments[:11]  # type: ignore[assignment]
    steps, first, last = arguments[11:]
    assert isinstance(steps, int)
    assert isinstance(first, float)
    assert isinstance(last, float)
    tables = _Tables(arrays[:6])
    tokens, counts, best_tokens, best_counts, state = arrays[6:]
    current, best = _lists(tokens, counts), _lists(best_tokens, best_counts)
    value, best_value = (_value(tables, orders) for orders in (current, best))
    random = Random(int(state[0]))
    if value != _NEVER:
        trial = [list(order) for order in current]
        moves, temperature = _Moves(tables, trial), first
        for step in range(steps):
            if step % 256 == 0:
                temperature = first * (last / first) ** (step / steps)
            touched, good = moves.some(random)
            if good and all(_is_sound(tables, trial[rank], rank) for rank in touched):
                chance = ((random.next() >> 11) + 1) * (1.0 / 9007199254740992.0)
                limit = value + int(-temperature * math.log(chance))
                found = _AnnealStep(tables, trial).value(limit)
                good = found <= limit
                value = found if good else value
            else:
                good = False
            source, target = (trial, current) if good else (current, trial)
            for rank in touched:
                target[rank][:] = source[rank]
            if good and value < best_value:
                best_value, best = value, [list(order) for order in current]
    _store(current, tokens, counts)
    _store(best, best_tokens, best_counts)
    state[:] = [random.state - 2**64 if random.state >= 2**63 else random.state, value, best_value]


def _value(tables: _Tables, orders: _Lists) -> int:
    sound = all(_is_sound(tables, order, rank) for rank, order in enumerate(orders))
    return _AnnealStep(tables, orders).value(_NEVER // 2) if sound else _NEVER


def _lists(tokens: Array, counts: Array) -> _Lists:
    return [row[:count].tolist() for row, count in zip(tokens, counts.tolist(), strict=True)]


def _store(orders: _Lists, tokens: Array, counts: Array) -> None:
    for rank, order in enumerate(orders):
        tokens[rank, : len(order)] = order
        counts[rank] = len(order)
