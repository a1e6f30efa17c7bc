# SPDX-License-Identifier: GPL-2.0-or-later
"""What a record says, as named values: one function for each type of tandem_trace.h.

These are the only places that know where in a record a type keeps what; the comments beside enum tandem_trace_type are
their specification. Addresses are integers; the keys in ADDRESSES tell which values are.
"""
import functools

from .vocabulary import constant, enum_names, process_name, record_type, set_flags

ADDRESSES = {"va", "vram_offset", "root", "pc", "source", "destination", "notify_start", "notify_end", "pte", "page",
             "translated"}


def _end(record):
    return {"records": record[9], "lost": record[10]}


def _reset(record):
    return {"kind": enum_names("tandem_reset_kind")[record[5]]}


def _bind(record):
    table = {"bus_pasid": record[8]} if record[5] == constant("TANDEM_TRANSLATION_SVA") else {"root": record[6]}
    return {"translation": enum_names("tandem_translation")[record[5]], "tgid": record[7], **table,
            "name": process_name(record[9], record[10])}


def _unbind(_record):
    return {}


def _queue(record):
    fields = {"state": enum_names("tandem_queue_state")[record[5]]}
    if record[9]:
        fields |= {"error": enum_names("tandem_queue_error")[record[9]], "va": record[6], "pc": record[10]}
    return fields


def _doorbell(record):
    return {"write_index": record[9]}


def _fetch(record):
    return {"packet": record[8], "packet_type": enum_names("tandem_packet_type")[record[5]], "va": record[6]}


def _dispatch(record):
    return {"packet": record[8], "va": record[6], "workgroups": record[9], "work_items": record[10]}


def _retire(record):
    return {"packet": record[8], "ns": record[9], "lane_instructions": record[10]}


def _fence(record):
    detail = record[5]
    fields = {"kind": enum_names("tandem_trace_fence")[detail & 0xff],
              "scope": enum_names("tandem_fence_scope")[detail >> 8], "seqno": record[8]}
    return fields | ({"va": record[6], "value": record[9]} if record[6] else {})


def pte_fields(pte):
    """What a leaf PTE maps, and how."""
    lowest = constant("TANDEM_PTE_APERTURE") & -constant("TANDEM_PTE_APERTURE")
    aperture = (pte & constant("TANDEM_PTE_APERTURE")) // lowest
    rights = [name for name in ("WRITE", "ATOMIC", "ACCESSED", "DIRTY") if pte & constant(f"TANDEM_PTE_{name}")]
    return {"pte": pte, "page": pte & constant("TANDEM_PTE_ADDRESS"), "aperture": enum_names("tandem_aperture")[aperture],
            "bits": [name.lower() for name in rights]}


def _walk(record):
    detail, pte = record[5], record[9]
    fields = {"va": record[6], "access": enum_names("tandem_access")[detail & 0xff], "levels": detail >> 8 & 0xff,
              "restarts": detail >> 16, "ns": record[10]}
    return fields | (pte_fields(pte) if pte & constant("TANDEM_PTE_VALID") else {"pte": pte})


def _fill(record):
    return {"va": record[6], "bytes": record[7], "level": record[5], "evicted": bool(record[10]), **pte_fields(record[9])}


def _fault(record):
    detail = record[5]
    return {"va": record[6], "access": enum_names("tandem_access")[detail & 0xff],
            "reason": enum_names("tandem_fault_reason")[detail >> 8 & 0xff],
            "client": enum_names("tandem_fault_client")[detail >> 16], "id": record[8], "pc": record[9],
            "overflow": bool(record[10])}


def _replay(record):
    return {"command": record[8], "released": record[9]}


def _cancel(record):
    return {"va": record[6], "command": record[8], "failed": record[9],
            "error": enum_names("tandem_queue_error")[record[5]]}


def invalidation_cause(record):
    """Of INVALIDATE, INVALIDATED and NOTE."""
    return record[5] & 0xffff


def _invalidation(record):
    return {"va": record[6], "bytes": record[7], "seqno": record[8],
            "cause": enum_names("tandem_cause")[invalidation_cause(record)],
            "flags": set_flags("TANDEM_INVALIDATE_", record[5] >> 16)}


def _invalidate(record):
    return {**_invalidation(record), "notify_start": record[9], "notify_end": record[10], "tgid": record[4]}


def entries_killed(record):
    return record[9] & 0xffffffff


def stores_drained(record):
    return record[9] >> 32


def _invalidated(record):
    return {**_invalidation(record), "hit": set_flags("TANDEM_HIT_", record[4]), "entries": entries_killed(record),
            "stores": stores_drained(record), "ns": record[10]}


def copy_is_virtual(record):
    return record[5] & 0xff == constant("TANDEM_TRACE_COPY_VIRTUAL")


def _copy(record):
    detail = record[5]
    fields = {"kind": enum_names("tandem_trace_copy")[detail & 0xff], "source": record[9], "bytes": record[7],
              "ns": record[10], "seqno": record[8]}
    if copy_is_virtual(record):
        return {"va": record[6], **fields}
    apertures = enum_names("tandem_aperture")
    return {"destination": record[6], **fields, "source_aperture": apertures[detail >> 8 & 0xff],
            "destination_aperture": apertures[detail >> 16]}


def _note(record):
    return {"va": record[6], "bytes": record[7], "seqno": record[8],
            "cause": enum_names("tandem_cause")[invalidation_cause(record)], "value": record[9], "tgid": record[4]}


def _command(record):
    detail = record[5]
    return {"command": enum_names("tandem_command_type")[detail & 0xffff],
            "error": enum_names("tandem_command_error")[detail >> 16], "seqno": record[8], "ns": record[9]}


def _suspend(record):
    return {"packet": record[8], "returns": bool(record[9])}


def bytes_migrated(record):
    return record[9] & ((1 << 48) - 1)


def pages_failed(record):
    return record[9] >> 48


def migrate_cause(record):
    return enum_names("tandem_migrate_cause")[record[5] & 0xff]


def migrate_ends(record):
    """The apertures that the pages came from and went to."""
    apertures = enum_names("tandem_aperture")
    return apertures[record[5] >> 8 & 0xff], apertures[record[5] >> 16]


def _migrate(record):
    source, destination = migrate_ends(record)
    where = "va" if record[3] else "vram_offset"
    return {where: record[6], "bytes": record[7], "cause": migrate_cause(record), "from": source, "to": destination,
            "moved": bytes_migrated(record), "pages_failed": pages_failed(record), "ns": record[10], "command": record[8],
            "tgid": record[4]}


def _poison(record):
    return {"vram_offset": record[6], "met": bool(record[9])}


def _access_counter(record):
    return {"va": record[6], "bytes": record[7], "count": record[9]}


# ---- through the IOMMU

def bus_pasid(record):
    """None: a request without PASID."""
    number = record[8] & 0xffffffff
    return None if number == constant("TANDEM_TRACE_NO_PASID") else number


def _with_bus_pasid(record, fields):
    number = bus_pasid(record)
    return fields if number is None else {**fields, "bus_pasid": number}


def page_request_group(record):
    return record[8] >> 32


def _ats_request(record):
    return _with_bus_pasid(record, {"va": record[6], "access": enum_names("tandem_access")[record[5]]})


def ats_answer_is_stale(record):
    return bool(record[5] >> 8 & constant("TANDEM_ATS_STALE"))


def ats_grants(record):
    """What an answer permits: names of rights, none if nothing is mapped."""
    return [name for name in set_flags("TANDEM_ATS_", record[5] >> 8) if name != "stale"]


def _ats_answer(record):
    return _with_bus_pasid(record, {
        "va": record[6], "bytes": record[7], "access": enum_names("tandem_access")[record[5] & 0xff],
        "grants": ats_grants(record), "stale": ats_answer_is_stale(record), "translated": record[9], "ns": record[10]})


def _page_request(record):
    return _with_bus_pasid(record, {"va": record[6], "access": enum_names("tandem_access")[record[5] & 0xff],
                                    "group": page_request_group(record), "last": bool(record[5] >> 8)})


def page_response_code(record):
    return enum_names("tandem_page_response")[record[5]]


def _page_response(record):
    return _with_bus_pasid(record, {"group": page_request_group(record), "code": page_response_code(record),
                                    "accesses": record[9], "ns": record[10]})


def _atc_invalidated(record):
    return _with_bus_pasid(record, {
        "va": record[6], "bytes": record[7], "global": bool(record[5]), "hit": set_flags("TANDEM_HIT_", record[4]),
        "entries": entries_killed(record), "stores": stores_drained(record), "ns": record[10]})


def _drain(record):
    return _with_bus_pasid(record, {"requests": record[9], "ns": record[10]})


_DECODERS = {
    "END": _end, "RESET": _reset, "BIND": _bind, "UNBIND": _unbind, "QUEUE": _queue, "DOORBELL": _doorbell, "FETCH": _fetch,
    "DISPATCH": _dispatch, "RETIRE": _retire, "FENCE": _fence, "WALK": _walk, "FILL": _fill, "FAULT": _fault,
    "REPLAY": _replay, "CANCEL": _cancel, "INVALIDATE": _invalidate, "INVALIDATED": _invalidated, "COPY": _copy,
    "NOTE": _note, "COMMAND": _command, "SUSPEND": _suspend, "MIGRATE": _migrate, "POISON": _poison,
    "ACCESS_COUNTER": _access_counter, "ATS_REQUEST": _ats_request, "ATS_ANSWER": _ats_answer,
    "PAGE_REQUEST": _page_request, "PAGE_RESPONSE": _page_response, "ATC_INVALIDATED": _atc_invalidated, "DRAIN": _drain,
}


@functools.cache
def decoders():
    """Type -> function from a record to its named values."""
    return {record_type(name): function for name, function in _DECODERS.items()}


@functools.cache
def types_without_queue():
    """Records whose member `queue` holds something else than a queue."""
    return frozenset(record_type(name) for name in ("INVALIDATE", "INVALIDATED", "NOTE", "MIGRATE", "ATC_INVALIDATED"))


@functools.cache
def types_with_va():
    """Records that tell of a virtual address in `va`; of COPY only those that copy_is_virtual(), of MIGRATE those of
    an address space."""
    return frozenset(record_type(name) for name in ("QUEUE", "FETCH", "DISPATCH", "FENCE", "WALK", "FILL", "FAULT", "CANCEL",
                                                    "INVALIDATE", "INVALIDATED", "COPY", "NOTE", "MIGRATE", "ACCESS_COUNTER",
                                                    "ATS_REQUEST", "ATS_ANSWER", "PAGE_REQUEST", "ATC_INVALIDATED"))


@functools.cache
def types_with_cause():
    return frozenset(record_type(name) for name in ("INVALIDATE", "INVALIDATED", "NOTE", "MIGRATE"))


def decode(record):
    return decoders()[record[1]](record)
