# SPDX-License-Identifier: GPL-2.0-or-later
"""Records of what goes through the IOMMU: lines, filters, figures, timeline."""
import json
import unittest

import trace_reader
from trace_reader.tests.support import TraceCase
from trace_reader.tests.writer import TraceWriter, constant

BUS = 0x3fe
NO_PASID = constant("TRACE_NO_PASID")


class IommuWriter(TraceWriter):
    """Adds the records of one address space that goes through the IOMMU."""

    def bind_sva(self, pasid=1, tgid=123):
        return self.record("BIND", pasid=pasid, detail=constant("TRANSLATION_SVA"), bytes=tgid, seqno=BUS, a=0x617673)

    def ats_request(self, va, access="READ", bus=BUS):
        return self.record("ATS_REQUEST", pasid=1, queue=4, va=va, detail=constant(f"ACCESS_{access}"), seqno=bus)

    def ats_answer(self, va, access="READ", grants=("READ",), size=4096, ns=700, at=None):
        bits = sum(constant(f"ATS_{name}") for name in grants)
        granted = bool(set(grants) & {"READ", "WRITE"})
        return self.record("ATS_ANSWER", at, pasid=1, queue=4, va=va, bytes=size, a=0x42000 if granted else 0, b=ns, seqno=BUS,
                           detail=constant(f"ACCESS_{access}") | bits << 8)

    def page_request(self, va, group=7, last=False, access="WRITE"):
        return self.record("PAGE_REQUEST", pasid=1, queue=4, va=va, seqno=BUS | group << 32,
                           detail=constant(f"ACCESS_{access}") | last << 8)

    def page_response(self, group=7, code=0, accesses=3, ns=9000):
        return self.record("PAGE_RESPONSE", pasid=1, seqno=BUS | group << 32, detail=code, a=accesses, b=ns)

    def atc_invalidated(self, va=0x5000, size=0x1000, everyone=False, bus=BUS, entries=0, stores=0, hit=(), ns=0, pasid=1):
        bits = sum(constant(f"HIT_{name}") for name in hit)
        return self.record("ATC_INVALIDATED", pasid=pasid, queue=bits, va=va, bytes=size, seqno=bus, detail=int(everyone),
                           a=entries | stores << 32, b=ns)

    def drain(self, requests, ns=0):
        return self.record("DRAIN", pasid=1, seqno=BUS, a=requests, b=ns)


class Lines(TraceCase):
    def line(self, writer, kind):
        self.write(writer.end())
        lines = self.lines("--type", kind)
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def test_bind_names_the_pasid_on_the_bus_and_no_table(self):
        line = self.line(IommuWriter().bind_sva(), "bind")
        self.assertIn("sva[123] gets the address space, sva, PASID 0x3fe on the bus", line)
        self.assertNotIn("page table", line)

    def test_a_request_tells_the_access_and_the_queue(self):
        line = self.line(IommuWriter().ats_request(0x5000, "WRITE"), "ats-request")
        self.assertIn("q4 ", line)
        self.assertIn("0x5000 ", line)
        self.assertIn("the IOMMU is asked, write", line)

    def test_an_answer_tells_what_it_grants(self):
        line = self.line(IommuWriter().ats_answer(0x200000, "WRITE", ("READ", "WRITE"), size=1 << 21), "ats-answer")
        self.assertIn("0x200000+2M", line)
        self.assertIn("write, after 700 ns: 0x42000, 2M, read write", line)

    def test_an_answer_that_grants_nothing_says_so(self):
        line = self.line(IommuWriter().ats_answer(0x5000, grants=()), "ats-answer")
        self.assertTrue(line.endswith("read, after 700 ns: nothing"), line)

    def test_an_overtaken_answer_says_so(self):
        line = self.line(IommuWriter().ats_answer(0x5000, grants=("READ", "STALE")), "ats-answer")
        self.assertIn("0x42000, 4K, read; overtaken by an invalidation, asked anew", line)

    def test_a_page_request_tells_its_group(self):
        self.assertTrue(self.line(IommuWriter().page_request(0x5000), "page-request").endswith("write, group 7"))
        self.assertIn("group 511, its last", self.line(IommuWriter().page_request(0x5000, 511, True), "page-request"))

    def test_a_response_tells_what_became_of_those_who_waited(self):
        for code, name, outcome in ((0, "success", "3 accesses try again"), (1, "invalid", "3 accesses fail"),
                                    (15, "failure", "3 accesses fail"), (7, "unknown(7)", "3 accesses fail")):
            self.assertIn(f"group 7 after 9.00 us: {name}, {outcome}",
                          self.line(IommuWriter().page_response(code=code), "page-response"))
        self.assertTrue(self.line(IommuWriter().page_response(accesses=0), "page-response").endswith("success"))

    def test_an_atc_invalidation_tells_whose_what_and_the_wait(self):
        writer = IommuWriter().atc_invalidated(entries=3, stores=2, hit=("ATC", "ATS", "STORES"), ns=2000)
        line = self.line(writer, "atc-invalidated")
        self.assertIn("by the IOMMU for PASID 0x3fe, which waited 2.00 us: 3 entries killed, hit stores, ats, atc, "
                      "2 stores drained", line)
        self.assertIn("  -      ", line)  # what was hit is no queue
        self.assertIn("for every PASID", self.line(IommuWriter().atc_invalidated(everyone=True), "atc-invalidated"))
        self.assertIn("for no PASID", self.line(IommuWriter().atc_invalidated(bus=NO_PASID), "atc-invalidated"))

    def test_a_drain_tells_what_was_outstanding(self):
        self.assertIn("2 page requests answered after 5.00 us", self.line(IommuWriter().drain(2, 5000), "drain"))
        self.assertIn("no page request was outstanding", self.line(IommuWriter().drain(0), "drain"))

    def test_json_has_the_pasid_on_the_bus_as_a_number(self):
        self.write(IommuWriter().ats_request(0x5000).ats_request(0x5000, bus=NO_PASID).page_request(0x5000, 9).end())
        events = [json.loads(line) for line in self.lines("--json")]
        self.assertEqual([event.get("bus_pasid") for event in events], [BUS, None, BUS, None])
        self.assertEqual(events[2]["group"], 9)


class Filters(TraceCase):
    def test_translate_means_the_iommu_too(self):
        self.write(IommuWriter().walk(0x1000).ats_request(0x5000).ats_answer(0x5000).page_request(0x5000).end())
        events = [json.loads(line)["type"] for line in self.lines("--type", "translate", "--json")]
        self.assertEqual(events, ["walk", "ats-request", "ats-answer"])

    def test_addresses_are_found(self):
        self.write(IommuWriter().ats_request(0x5000).ats_answer(0x4000, size=8192).page_request(0x5000)
                   .atc_invalidated(0x5000).atc_invalidated(0x6000).page_response().drain(1).end())
        events = [json.loads(line)["type"] for line in self.lines("--va", "5000-5800", "--json")]
        self.assertEqual(events, ["ats-request", "ats-answer", "page-request", "atc-invalidated"])

    def test_queues_are_found_and_hits_are_none(self):
        self.write(IommuWriter().ats_request(0x5000).atc_invalidated(hit=("WALK",)).end())
        events = [json.loads(line)["type"] for line in self.lines("--queue", "4", "--json")]
        self.assertEqual(events, ["ats-request"])


class Figures(TraceCase):
    def summarise(self, writer):
        self.write(writer.end())
        return trace_reader.summarise(self.path)

    def test_of_a_process(self):
        writer = IommuWriter().bind_sva()
        writer.ats_answer(0x5000, ns=100).ats_answer(0x6000, grants=(), ns=300).ats_answer(0x7000, grants=("READ", "STALE"), ns=200)
        writer.page_request(0x6000).page_request(0x7000, last=True).page_response().page_response(8, code=1, ns=1000)
        summary = self.summarise(writer)
        process = summary.processes[0].as_dict()
        self.assertEqual((process["translation"], process["ats_empty"], process["ats_stale"]), ("sva", 1, 1))
        self.assertEqual((process["ats_ns"]["count"], process["ats_ns"]["max"]), (3, 300))
        self.assertEqual((process["page_requests"], process["page_responses"]), (2, {"success": 1, "invalid": 1}))
        self.assertEqual(process["page_response_ns"]["max"], 9000)
        text = trace_reader.format_summary(summary)
        self.assertIn("ATS answers       3, 1 found nothing, 1 overtaken by an invalidation; p50 200 ns", text)
        self.assertIn("page requests     2, answered in 2 groups: success 1, invalid 1; p50 1.00 us", text)

    def test_of_invalidations(self):
        writer = IommuWriter().atc_invalidated(entries=3, stores=1, hit=("ATC", "L1"), ns=500).atc_invalidated(ns=100)
        writer.atc_invalidated(0, constant("VA_LIMIT"), everyone=True, entries=9, hit=("ATC",), ns=200)
        summary = self.summarise(writer)
        found = summary.as_dict()["atc_invalidations"]
        self.assertEqual((found["received"], found["whole_address_space"], found["bytes"]), (3, 1, 0x2000))
        self.assertEqual((found["entries_killed"], found["stores_drained"], found["hit_nothing"]), (12, 1, 1))
        self.assertEqual((found["hits"], found["wait_ns"]["max"]), ({"atc": 2, "l1": 1}, 500))
        text = trace_reader.format_summary(summary)
        self.assertIn("ATC invalidations, and how long the IOMMU waited for the device", text)
        self.assertIn("8.0 KiB + 1 whole", text)
        self.assertNotIn("Invalidations by cause", text)


class Timeline(TraceCase):
    def test_answers_and_responses_are_slices(self):
        self.write(IommuWriter().bind_sva().ats_answer(0x5000, "WRITE", ns=700, at=10_000).page_response(code=1)
                   .atc_invalidated(ns=100).drain(1, 50).end())
        out = self.path + ".json"
        self.assertEqual(self.run_command(trace_reader.export_main, out)[0], 0)
        with open(out, encoding="utf-8") as file:
            events = json.load(file)
        begins = {event["name"]: event["ts"] for event in events if event["ph"] == "b"}
        self.assertEqual(begins["ATS write"], 9.3)
        self.assertEqual(set(begins), {"ATS write", "page requests, invalid", "ATC invalidation", "drain"})


if __name__ == "__main__":
    unittest.main()
