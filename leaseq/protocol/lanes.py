"""Lanes: of what shares a name, at most N run at once, over all nodes of a lease and whoever starts them.

    lanes/NAME/K             lane K was made: an exclusive link, there for ever; it holds the name of the lane's token
    lanes/NAME/.TOKEN        the token of a lane that has been made, and of which nobody has made use yet
    lanes/NAME/K.G           the token: lane K is free, for the Gth time
    lanes/NAME/K.G.HOLDER    the token: lane K is held

A lane has one token, one file that is renamed: taking a lane and freeing it are one call each, of several who take one
at once one has it, and a name that was once is never again, so who acts on an old look acts on nothing. A holder is an
attempt with the incarnation that claimed it and the node: it holds its lane for as long as its claim stands.

* take      after the claim is made and before the attempt starts. Nobody is given a lane while N are held, and of the
            free ones each takes the first: so N are never exceeded, though nobody has a lock and each has a look of his
            own. Lanes above a smaller N stay held by whoever has them, and are not taken again until N allows.
            A lane that the holder has already, from a look at an earlier claim of that name, counts as any other and
            is given under a new name: whoever saw it while no such claim was there does not free it any more.
* take anyway  an attempt that runs already has a lane, however many are held: it began before there was a limit.
* free      whoever settles the claim frees the lane, before or after that; whoever puts the claim back, before.
* free what nobody holds   anybody, at any time: lanes are looked at first and claims second, so a holder whose claim is
            not there has settled it. A silent node keeps its claims and so its lanes, until it is known to be lost.

A crash after `take` leaves a claim with a lane: the node's next runner puts the claim back, or goes on with it, and the
lane follows the claim. A crash while a lane is made leaves `.TOKEN`: who next finds no free lane brings it out.
"""

from __future__ import annotations

from collections.abc import Callable

from leaseq.errors import Malformed
from leaseq.limit_names import Lane, is_token
from leaseq.names import new_incarnation
from leaseq.protocol.files import discard, make
from leaseq.world import Fs

LOOKS_MAX = 16
"""So often in a row others may be faster at a lane; whoever wants one looks again at his next turn."""


def look(fs: Fs, directory: str) -> list[Lane]:
    """The lanes that were made, by their numbers; none if nobody ever limited anything of that name."""
    try:
        names = fs.names(directory)
    except FileNotFoundError:
        return []
    newest: dict[int, Lane] = {}
    for name in names:
        try:
            lane = Lane.parse(name)
        except Malformed:
            continue
        known = newest.get(lane.number)
        # A listing that is made while a token is renamed may have both of its names: the later one counts.
        if known is None or (known.generation, known.holder) < (lane.generation, lane.holder):
            newest[lane.number] = lane
    return [newest[number] for number in sorted(newest)]


def held_by(lanes: list[Lane]) -> dict[str, Lane]:
    """The lanes that are held, by their holders."""
    return {lane.holder: lane for lane in lanes if lane.holder}


def take(fs: Fs, directory: str, holder: str, *, limit: int | None) -> Lane | None:
    """The lane that the holder has; None, and it has none, if that many are held. Without a limit there is one more."""
    passed_over: set[int] = set()
    for _ in range(LOOKS_MAX):
        lanes = look(fs, directory)
        held = [lane.number for lane in lanes if lane.holder and lane.holder != holder]
        if own := held_by(lanes).get(holder):
            if limit is None:
                return own
            if own.number + sum(other > own.number for other in held) > limit:
                free(fs, directory, own)
                return None
            if renewed := _rename(fs, directory, own, own.renewed()):
                return renewed
            continue
        unfit = passed_over.union(held)
        number = next(number for number in range(1, len(unfit) + 2) if number not in unfit)
        # Those below are held, for all that is known of them, and so are those above.
        if limit is not None and number + sum(other > number for other in held) > limit:
            return None
        lane = next((lane for lane in lanes if lane.number == number), None)
        if lane is None:
            lane = _make(fs, directory, number)
        if lane is not None and lane.generation == 0 and not _bring_out(fs, directory, lane):
            passed_over.add(number)
        elif lane is not None and lane.generation and (won := _rename(fs, directory, lane, lane.taken_by(holder))):
            return won
    return None


def free(fs: Fs, directory: str, lane: Lane) -> None:
    """The held lane is free, by whomever."""
    _rename(fs, directory, lane, lane.freed())


def free_gone(fs: Fs, directory: str, *, stands: Callable[[str], bool]) -> int:
    """How many lanes were freed whose holder has no claim any more. stands: looks at that freshly."""
    gone = [lane for lane in look(fs, directory) if lane.holder and not stands(lane.holder)]
    for lane in gone:
        free(fs, directory, lane)
    return len(gone)


def _rename(fs: Fs, directory: str, lane: Lane, after: Lane) -> Lane | None:
    """The token has its next name, by this call; None if it has another one by now."""
    try:
        fs.rename(f"{directory}/{lane}", f"{directory}/{after}")
    except OSError as error:
        names = fs.names(directory)
        if str(after) not in names:
            if isinstance(error, FileNotFoundError) and str(lane) not in names:
                return None
            raise
    return after


def _make(fs: Fs, directory: str, number: int) -> Lane | None:
    """The lane has been made, by whomever; its token is not out yet, for all that is known here."""
    make(fs, [directory.rpartition("/")[0], directory])
    token = new_incarnation()
    fs.create(f"{directory}/.{token}", token.encode())
    fs.sync_dir(directory)
    try:
        fs.link(f"{directory}/.{token}", f"{directory}/{Lane(number)}")
    except OSError:
        if _token(fs, directory, Lane(number)) != token:
            discard(fs, f"{directory}/.{token}")
    # Were the token out before the lane is durably made, a loss of power could leave a token that another joins.
    fs.sync_dir(directory)
    return Lane(number)


def _bring_out(fs: Fs, directory: str, lane: Lane) -> bool:
    """The token of a lane that was made is out; False if it was out before, and where it is now is not known here."""
    try:
        fs.rename(f"{directory}/.{_token(fs, directory, lane)}", f"{directory}/{lane.freed()}")
    except FileNotFoundError:
        return any(each.number == lane.number and each.generation for each in look(fs, directory))
    return True


def _token(fs: Fs, directory: str, lane: Lane) -> str:
    """The hidden name of the lane's token, if it has not been out yet; raises OSError if that is not known."""
    token = fs.read(f"{directory}/{lane}").decode("ascii", "replace")
    if not is_token(token):
        raise FileNotFoundError(2, "no token's name", f"{directory}/{lane}")
    return token
