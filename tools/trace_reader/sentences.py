# SPDX-License-Identifier: GPL-2.0-or-later
"""A record as a line of text: time, verb, process, queue, address range, and what happened in words.

Works on the named values of decode.py; what is told here in words, `--json` gives as data.
"""
import functools

from .decode import decode, types_without_queue
from .units import address_range, duration, exact_size, milliseconds
from .vocabulary import constant, enum_names, record_type

HEADING = f"{'time (ms)':>14}  {'event':11}  {'process':16}  {'queue':5}  {'address':24}  what"


def _plural(count, noun, plural=None):
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def _end(f, _unit, _processes):
    return f"{_plural(f['records'], 'record')}, " + (f"{f['lost']:,} lost" if f["lost"] else "none lost")


def _reset(f, _unit, _processes):
    return f"the device is as after power-on: {f['kind']} reset"


def _bind(f, _unit, _processes):
    table = f"page table at {f['root']:#x}" if "root" in f else f"PASID {f['bus_pasid']:#x} on the bus"
    return f"{f['name']}[{f['tgid']}] gets the address space, {f['translation']}, {table}"


def _unbind(_f, _unit, _processes):
    return "the address space is gone"


def _queue(f, _unit, _processes):
    if "error" not in f:
        return f"is {f['state']}"
    return f"is {f['state']}: {f['error']} at {f['va']:#x}, pc {f['pc']:#x}"


def _doorbell(f, _unit, _processes):
    return f"write index {f['write_index']}"


def _fetch(f, _unit, _processes):
    return f"packet {f['packet']}, {f['packet_type']}"


def _dispatch(f, _unit, _processes):
    return f"packet {f['packet']}, {_plural(f['workgroups'], 'workgroup')}, {_plural(f['work_items'], 'work item')}"


def _retire(f, _unit, _processes):
    return f"packet {f['packet']} done after {duration(f['ns'])}, {_plural(f['lane_instructions'], 'lane instruction')}"


def _fence(f, _unit, _processes):
    what = "command #" if f["kind"] == "command" else f"{f['kind']} of packet "
    scope = "" if f["scope"] == "none" else f", {f['scope']} scope"
    value = f", value {f['value']}" if "value" in f else ""
    return f"{what}{f['seqno']}{scope}{value}"


def _pte(f):
    bits = " ".join(f["bits"])
    return f"{f['aperture']} {f['page']:#x}" + (f", {bits}" if bits else "")


def _walk(f, _unit, _processes):
    found = f"found {_pte(f)}" if "page" in f else "found nothing"
    restarts = f", began again {_plural(f['restarts'], 'time')}" if f["restarts"] else ""
    return f"{f['access']}, {_plural(f['levels'], 'level')} in {duration(f['ns'])}{restarts}: {found}"


def _fill(f, unit, _processes):
    where = "" if unit is None else f" of compute unit {unit}"
    evicted = ", an older entry evicted" if f["evicted"] else ""
    return f"L{f['level']}{where} takes a {exact_size(f['bytes'])} page: {_pte(f)}{evicted}"


def _fault(f, unit, _processes):
    who = f"compute unit {unit}, pc {f['pc']:#x}" if f["client"] == "compute" else f["client"]
    waits = ", waits for room in the fault buffer" if f["overflow"] else ""
    return f"#{f['id']} {f['access']}, {f['reason']}, by {who}{waits}"


def _replay(f, _unit, _processes):
    return f"command #{f['command']} lets {_plural(f['released'], 'access', 'accesses')} try again"


def _cancel(f, _unit, _processes):
    return f"command #{f['command']} fails {_plural(f['failed'], 'access', 'accesses')}: {f['error']}"


def _flags(f):
    told = [name for name in f["flags"] if name != "interrupt"]
    return f" ({', '.join(told)})" if told else ""


def _invalidate(f, _unit, processes):
    by = processes.describe(f["tgid"])
    notifier = address_range(f["notify_start"], f["notify_end"] - f["notify_start"])
    return f"#{f['seqno']} {f['cause']}" + (f" by {by}" if by else "") + f", notifier {notifier}{_flags(f)}"


def _found(f):
    """What an invalidation met."""
    killed = f"{_plural(f['entries'], 'entry', 'entries')} killed"
    hit = f"hit {', '.join(f['hit'])}" if f["hit"] else "hit nothing"
    drained = f", {_plural(f['stores'], 'store')} drained" if f["stores"] else ""
    return f"{killed}, {hit}{drained}"


def _invalidated(f, _unit, _processes):
    return f"#{f['seqno']} {f['cause']} acknowledged after {duration(f['ns'])}: {_found(f)}"


def _copy(f, _unit, _processes):
    if "va" in f:
        return f"packet {f['seqno']} from {f['source']:#x}, {duration(f['ns'])}"
    return (f"command #{f['seqno']} from {f['source_aperture']} {f['source']:#x} to {f['destination_aperture']} "
            f"{address_range(f['destination'], f['bytes'])}, {duration(f['ns'])}")


def _note(f, _unit, processes):
    by = processes.describe(f["tgid"])
    tail = f" by {by}" if by else ""
    if f["cause"] == "service":
        return f"the driver serviced faults{tail}: {_plural(f['value'], 'page')} mapped"
    return f"the driver tells: {f['cause']}{tail}, value {f['value']}"


def _command(f, _unit, _processes):
    outcome = "done" if f["error"] == "ok" else f"failed ({f['error']})"
    return f"#{f['seqno']} {f['command']} {outcome} after {duration(f['ns'])}"


def _suspend(f, unit, _processes):
    where = "its compute unit" if unit is None else f"compute unit {unit}"
    return f"packet {f['packet']}: a workgroup " + (f"returns to {where}" if f["returns"] else f"leaves {where}")


def _migrate(f, _unit, processes):
    of = processes.describe(f["tgid"])
    failed = f", {_plural(f['pages_failed'], 'page')} stayed" if f["pages_failed"] else ""
    place = f" from VRAM offset {address_range(f['vram_offset'], f['bytes'])}" if "vram_offset" in f else ""
    return (f"command #{f['command']} {f['cause']}" + (f" of {of}" if of else "") +
            f": {exact_size(f['moved'])} from {f['from']} to {f['to']}{place} in {duration(f['ns'])}{failed}")


def _poison(f, _unit, _processes):
    return f"the page at VRAM offset {f['vram_offset']:#x} " + ("was met" if f["met"] else "is found poisoned")


def _access_counter(f, _unit, _processes):
    return f"{_plural(f['count'], 'access', 'accesses')} beyond VRAM: the driver is told"


# ---- through the IOMMU

def _ats_request(f, _unit, _processes):
    return f"the IOMMU is asked, {f['access']}"


def _ats_answer(f, _unit, _processes):
    granted = f"{f['translated']:#x}, {exact_size(f['bytes'])}, {' '.join(f['grants'])}" if f["grants"] else "nothing"
    stale = "; overtaken by an invalidation, asked anew" if f["stale"] else ""
    return f"{f['access']}, after {duration(f['ns'])}: {granted}{stale}"


def _page_request(f, _unit, _processes):
    return f"{f['access']}, group {f['group']}" + (", its last" if f["last"] else "")


def _page_response(f, _unit, _processes):
    outcome = "try again" if f["code"] == "success" else "fail"
    accesses = f", {_plural(f['accesses'], 'access', 'accesses')} {outcome}" if f["accesses"] else ""
    return f"group {f['group']} after {duration(f['ns'])}: {f['code']}{accesses}"


def _atc_invalidated(f, _unit, _processes):
    whose = "every PASID" if f["global"] else f"PASID {f['bus_pasid']:#x}" if "bus_pasid" in f else "no PASID"
    return f"by the IOMMU for {whose}, which waited {duration(f['ns'])}: {_found(f)}"


def _drain(f, _unit, _processes):
    if not f["requests"]:
        return "no page request was outstanding"
    return f"{_plural(f['requests'], 'page request')} answered after {duration(f['ns'])}: none is outstanding"


_SENTENCES = {
    "END": _end, "RESET": _reset, "BIND": _bind, "UNBIND": _unbind, "QUEUE": _queue, "DOORBELL": _doorbell, "FETCH": _fetch,
    "DISPATCH": _dispatch, "RETIRE": _retire, "FENCE": _fence, "WALK": _walk, "FILL": _fill, "FAULT": _fault,
    "REPLAY": _replay, "CANCEL": _cancel, "INVALIDATE": _invalidate, "INVALIDATED": _invalidated, "COPY": _copy,
    "NOTE": _note, "COMMAND": _command, "SUSPEND": _suspend, "MIGRATE": _migrate, "POISON": _poison,
    "ACCESS_COUNTER": _access_counter, "ATS_REQUEST": _ats_request, "ATS_ANSWER": _ats_answer,
    "PAGE_REQUEST": _page_request, "PAGE_RESPONSE": _page_response, "ATC_INVALIDATED": _atc_invalidated, "DRAIN": _drain,
}


@functools.cache
def sentences():
    """Type -> function from named values, unit and processes to words."""
    return {record_type(name): function for name, function in _SENTENCES.items()}


def queue_of(record):
    """The queue's number, or None where the record has none."""
    if record[1] in types_without_queue() or record[4] == constant("TANDEM_TRACE_NO_QUEUE"):
        return None
    return record[4]


def unit_of(record):
    return None if record[2] == constant("TANDEM_TRACE_NO_UNIT") else record[2]


def owner(pasid, processes):
    """'1(vecadd)'; '-' for what belongs to no address space."""
    if not pasid:
        return "-"
    name = processes.of_pasid(pasid)
    return f"{pasid}({name})" if name is not None else str(pasid)


def _address(fields):
    if "all" in fields.get("flags", ()):
        return "everything"
    if "va" not in fields:
        return "-"
    return address_range(fields["va"], fields["bytes"]) if fields.get("bytes") else f"{fields['va']:#x}"


def line(record, epoch_ns, processes):
    kind = record[1]
    fields = decode(record)
    queue = queue_of(record)
    words = sentences()[kind](fields, unit_of(record), processes)
    return (f"{milliseconds(record[0] - epoch_ns):>14}  {enum_names('tandem_trace_type')[kind]:11}  "
            f"{owner(record[3], processes):16}  {'-' if queue is None else f'q{queue}':5}  {_address(fields):24}  {words}")
