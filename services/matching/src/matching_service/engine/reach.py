"""What a search for a shortest path has reached: a heap of mentors, the nearest first.

O(log mentors that were reached) for each that comes in, comes nearer or is taken out.
"""

from typing import NamedTuple

from matching_service.engine.columns import I64
from matching_service.engine.jit import inlined


class Room(NamedTuple):
    """What a search writes to."""

    distance: I64
    """[mentors]: how far a mentor is, of those that this search has reached."""
    search: I64
    """[mentors]: the last search that reached a mentor; [mentors] itself counts them."""
    by: I64
    """[mentors]: the arc over which a mentor was reached."""
    via: I64
    """[mentors]: the unit that would move on that arc."""
    heap: I64
    """[mentors]: those that were reached and not looked at, the nearest first."""
    place: I64
    """[mentors]: a mentor's place in the heap; -1 for who has been looked at."""
    seen: I64
    """[mentors]: those that were looked at, in order."""


@inlined
def _sift_up(room: Room, at: int) -> None:
    heap, place, distance = room.heap, room.place, room.distance
    who = heap[at]
    while at > 0:
        above = (at - 1) // 2
        if distance[heap[above]] <= distance[who]:
            break
        heap[at] = heap[above]
        place[heap[at]] = at
        at = above
    heap[at] = who
    place[who] = at


@inlined
def reach(room: Room, size: int, mentor: int, distance: int, by: int, via: int) -> int:
    """Note a way to a mentor, if it is the shortest so far; return the heap's size."""
    if room.search[mentor] != room.search[-1]:
        room.search[mentor] = room.search[-1]
        room.place[mentor] = size
        room.heap[size] = mentor
        size += 1
    elif room.place[mentor] < 0 or room.distance[mentor] <= distance:
        return size
    room.distance[mentor] = distance
    room.by[mentor], room.via[mentor] = by, via
    _sift_up(room, room.place[mentor])
    return size


@inlined
def nearest(room: Room, size: int) -> int:
    """Take the nearest mentor out of a heap of this size."""
    heap, place, distance = room.heap, room.place, room.distance
    nearest, who = heap[0], heap[size - 1]
    place[nearest] = -1
    at, size = 0, size - 1
    while size > 0:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and distance[heap[child + 1]] < distance[heap[child]]:
            child += 1
        if distance[who] <= distance[heap[child]]:
            break
        heap[at] = heap[child]
        place[heap[at]] = at
        at = child
    if size > 0:
        heap[at] = who
        place[who] = at
    return int(nearest)
