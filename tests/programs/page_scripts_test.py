"""The scripts of the report and of a comparison, as a browser runs them: sorting, filters, pages, keys, links.

Needs Chromium; skipped where there is none. A copy of the page gets a script of the test at its end, which presses what a
reader would press and leaves what it saw in the page.
"""
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["CAPTURE_BIN"])
BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None)
KINDS = ["cup", "pan", "lid"]

HELPERS = """
const $=id=>document.getElementById(id), seen={};
const form=()=>$("controls").elements;
const ids=()=>[...document.querySelectorAll("#cards .asked .id")].map(line=>line.title);
const count=()=>$("count").textContent.replaceAll("\\u202f"," ");
const set=(name,value)=>{form()[name].value=value; form()[name].dispatchEvent(new Event("input",{bubbles:true}))};
const press=(key,more={})=>{
  const event=new KeyboardEvent("keydown",{key,bubbles:true,cancelable:true,...more});
  (document.activeElement??document.body).dispatchEvent(event)};
const focused=()=>[...$("cards").children].indexOf(document.activeElement);
const disabled=()=>["previous","next","previous-end","next-end"].map(id=>$(id).disabled);
"""


def row(name, labels, caption):
    return f"{name}#####{caption}#####http://a#####http://b#####{'#;#'.join(labels)}"


class World:
    """Twelve cups, pans and lids each, and queries that find all, some or none of what they look for."""

    def __init__(self, folder, queries):
        self.folder = folder
        self.gallery = [row(f"{kind}{i}", [kind], f"{kind} <b>{i}</b> 瓷杯") for kind in KINDS for i in range(12)]
        self.queries = [row(f"q{i}", self.labels(i), f"询问 & <i>query</i> {i}") for i in range(queries)]
        folder.mkdir()
        (folder / "gallery.txt").write_text("\n".join(self.gallery))
        (folder / "queries.txt").write_text("\n".join(self.queries))

    @staticmethod
    def labels(query):
        return [["cup"], ["pan"], ["lid", "cup"]][query % 3]

    def ranking(self, query, result):
        good = [f"{kind}{i}" for kind in KINDS for i in range(12) if kind in self.labels(query)]
        bad = [f"{kind}{i}" for kind in KINDS for i in range(12) if kind not in self.labels(query)]
        if result == "none":
            return bad + good
        return good + bad if result == "all" else good[:query % 7 + 1] + bad + good[query % 7 + 1:]

    def evaluate(self, name, result_of, *options):
        lines = [",".join([f"q{i}", *self.ranking(i, result_of(i))]) for i in range(len(self.queries))]
        (self.folder / f"{name}.txt").write_text("\n".join(lines))
        must("capture_eval", "--rankings", self.folder / f"{name}.txt", "--gallery-list", self.folder / "gallery.txt",
             "--query-list", self.folder / "queries.txt", "--output", self.folder / name, *options)
        return self.folder / name


def must(program, *arguments):
    done = subprocess.run([str(BIN / program), *map(str, arguments)], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


def result_of(query):
    return ["none", "some", "all", "some"][query % 4]


def values(folder):
    """AP@10 of each query, as listed."""
    lines = [json.loads(line) for line in (folder / "per_query.jsonl").read_text().splitlines()]
    return [line["strict"]["top10"]["AP"] for line in lines]


@unittest.skipUnless(BROWSER, "no Chromium on this machine")
class PageScripts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.home = pathlib.Path(holder.name)
        cls.world = World(cls.home / "world", 60)
        cls.first = cls.world.evaluate("first", result_of, "--report")
        cls.second = cls.world.evaluate("second", lambda i: "all" if i % 5 == 0 else result_of(i))
        cls.values = values(cls.first)

    def act(self, page, script):
        """What the script left in `seen`. An error of any script on the page fails the test."""
        text = page.read_text()
        watch = '<script>window.problems=[];addEventListener("error",e=>problems.push(e.message))</script>'
        act = ('<script>addEventListener("load",()=>{' + HELPERS + "try{" + script + "}catch(e){problems.push(String(e))}"
               'const left=document.createElement("pre");left.id="left";'
               "left.textContent=JSON.stringify({seen,problems});document.body.append(left)})</script>")
        copy = page.with_name("acted_" + page.name)
        copy.write_text(text.replace("<head>", "<head>" + watch, 1).replace("</body>", act + "</body>"))
        done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                               f"--user-data-dir={self.home}/browser", "--dump-dom", copy.as_uri()],
                              capture_output=True, text=True, timeout=120)
        left = re.search(r'<pre id="left">(.*?)</pre>', done.stdout, re.S)
        self.assertTrue(left, done.stderr[-2000:])
        left = json.loads(html.unescape(left[1]))
        self.assertEqual(left["problems"], [])
        return left["seen"]

    def test_queries_are_ordered_filtered_and_turned(self):
        seen = self.act(self.first / "report.html", """
          seen.highlights=$("highlights")!==null;
          const raw=new DOMParser().parseFromString(plain,"text/html");
          const drawn=[...$("cards").children], written=[...raw.querySelectorAll("#highlights .query")];
          seen.same=drawn.map((card,i)=>card.isEqualNode(written[i]));
          seen.random=ids();
          for(const order of ["worst","best","listed"]){set("order",order);seen[order]=ids();}
          seen.first={count:count(),disabled:disabled()};
          $("next").click();
          seen.second={ids:ids(),count:count(),disabled:disabled()};
          $("next-end").click();
          seen.third={ids:ids(),focus:document.activeElement.id};
          for(let i=0;i<20&&!$("next").disabled;i++)$("next").click();
          seen.last={count:count(),disabled:disabled()};
          $("previous").click();$("previous-end").click();
          seen.back=count();
          for(const result of ["zero","some","full"]){set("result",result);seen[result]={ids:ids(),count:count()};}
          set("result","any");set("products","2");seen.two={ids:ids(),count:count()};
          set("text","  PAN ");seen.none={ids:ids(),count:count(),disabled:disabled()};
          set("products","any");seen.pan=count();
          set("text","query</i> 17");seen.text=ids();
          $("controls").requestSubmit();seen.stays=location.hash===""&&ids().length;
        """.replace("plain", self.script_text("report.html"), 1))
        shown = len(seen["listed"])
        self.assertEqual(shown, 8)
        self.assertFalse(seen["highlights"])
        self.assertEqual(seen["same"], [True] * shown, "cards of the script and those of the page without it")
        by = lambda key: [f"q{i}" for i in sorted(range(60), key=key)][:shown]
        self.assertEqual(seen["worst"], by(lambda i: self.values[i]))
        self.assertEqual(seen["best"], by(lambda i: -self.values[i]))
        self.assertEqual(seen["listed"], by(lambda i: i))
        self.assertEqual(seen["first"], {"count": "1–8 of 60 queries", "disabled": [True, False, True, False]})
        self.assertEqual(seen["second"], {"ids": [f"q{i}" for i in range(8, 16)], "count": "9–16 of 60 queries",
                                          "disabled": [False] * 4})
        self.assertEqual(seen["third"], {"ids": [f"q{i}" for i in range(16, 24)], "focus": "found"})
        self.assertEqual(seen["last"], {"count": "57–60 of 60 queries", "disabled": [False, True, False, True]})
        self.assertEqual(seen["back"], "41–48 of 60 queries")
        for name, holds in (("zero", lambda v: v == 0), ("some", lambda v: 0 < v < 1), ("full", lambda v: v == 1)):
            chosen = [f"q{i}" for i in range(60) if holds(self.values[i])]
            self.assertTrue(chosen)
            self.assertEqual(seen[name], {"ids": chosen[:8], "count": f"1–8 of {len(chosen)} queries"})
        self.assertEqual(seen["two"]["count"], "1–8 of 20 queries")
        self.assertTrue(all(int(name[1:]) % 3 == 2 for name in seen["two"]["ids"]))
        self.assertEqual(seen["none"], {"ids": [], "count": "No query is like that", "disabled": [True] * 4})
        self.assertEqual(seen["pan"], "1–8 of 20 queries")
        self.assertEqual((seen["text"], seen["stays"]), (["q17"], 1))

    def script_text(self, name):
        """The page's markup as a literal of a script."""
        body = re.search(r"<body>.*?<script", (self.first / name).read_text(), re.S)[0]
        return json.dumps(body.removesuffix("<script")).replace("<", "\\u003c")

    def test_keys_go_from_query_to_query(self):
        seen = self.act(self.first / "report.html", """
          set("order","listed");
          press("j");seen.first=focused();
          for(let i=0;i<7;i++)press("j");
          seen.last=focused();
          press("j");seen.over={at:focused(),ids:ids()[0]};
          press("k");seen.back={at:focused(),ids:ids()[7]};
          for(let i=0;i<9;i++)press("k");
          seen.start={at:focused(),ids:ids()[0]};
          press("j",{ctrlKey:true});seen.control=focused();
          press("/");seen.search=document.activeElement===form().text;
          press("j");seen.typed=document.activeElement===form().text;
        """)
        self.assertEqual(seen, {"first": 0, "last": 7, "over": {"at": 0, "ids": "q8"}, "back": {"at": 7, "ids": "q7"},
                                "start": {"at": 0, "ids": "q0"}, "control": 0, "search": True, "typed": True})

    def test_headings_sort_and_labels_lead_to_their_queries(self):
        seen = self.act(self.first / "report.html", """
          const table=document.querySelector("table.sortable"), heads=[...table.tHead.rows[0].cells];
          seen.columns=heads.map((head,i)=>{
            const states=[];
            for(let turn=0;turn<2;turn++){
              head.querySelector("button").click();
              states.push({sort:head.ariaSort,others:heads.filter(other=>other.ariaSort).length,
                           values:[...table.tBodies[0].rows].map(row=>row.cells[i].textContent.trim())});}
            return states});
          const link=document.querySelector("a[data-label]");
          set("products","1");set("order","best");
          link.addEventListener("click",event=>event.preventDefault());
          link.click();
          seen.link={label:link.dataset.label,target:link.getAttribute("href"),text:form().text.value,
                     order:form().order.value,products:form().products.value,count:count()};
        """)
        names = [state["values"] for state in seen["columns"][0]]
        self.assertEqual([state["sort"] for state in seen["columns"][0]], ["ascending", "descending"])
        self.assertEqual(names, [sorted(names[0]), sorted(names[0], reverse=True)])
        self.assertGreater(len(seen["columns"]), 1)
        for column in seen["columns"][1:]:
            self.assertEqual([(state["sort"], state["others"]) for state in column], [("descending", 1), ("ascending", 1)])
            down, up = ([float(re.sub(r"[^\d.]", "", text) or "nan") for text in state["values"]] for state in column)
            self.assertEqual(down, sorted(down, reverse=True))
            self.assertEqual(up, sorted(up))
        label = seen["link"]["label"]
        matching = sum(label in World.labels(i) for i in range(60))
        self.assertEqual(seen["link"], {"label": label, "target": "#queries", "text": label, "order": "worst",
                                        "products": "any", "count": f"1–8 of {matching} queries"})

    def test_a_comparison_shows_what_was_won_and_lost(self):
        must("capture_eval", "compare", self.first, self.second, "--output", self.home / "comparison")
        seen = self.act(self.home / "comparison/comparison.html", """
          seen.headline=parseFloat(getComputedStyle(document.querySelector(".figure strong")).fontSize);
          seen.orders=[...form().order.options].map(option=>option.value);
          seen.won=ids();
          set("order","lost1");seen.lost=ids();
          set("order","listed");
          for(const result of ["differ","same"]){set("result",result);seen[result]=count();}
          const card=$("cards").children[0];
          seen.runs=[...card.querySelectorAll("h5 bdi")].map(name=>name.textContent);
          seen.lists=[...card.querySelectorAll("ol")].map(list=>list.children.length);
        """)
        self.assertGreater(seen["headline"], 40, "the difference is what the page is about")
        after = values(self.second)
        gains = [there - here for here, there in zip(self.values, after)]
        by = lambda sign: [f"q{i}" for i in sorted(range(60), key=lambda i: sign * gains[i])][:len(seen["won"])]
        self.assertEqual(seen["orders"], ["won1", "lost1", "random", "worst", "best", "listed"])
        self.assertEqual(seen["won"], by(-1))
        self.assertEqual(seen["lost"], by(1))
        differ = sum(gain != 0 for gain in gains)
        counts = [re.search(r"of (\d+)", seen[name])[1] for name in ("differ", "same")]
        self.assertEqual(counts, [str(differ), str(60 - differ)])
        self.assertEqual((seen["runs"], seen["lists"]), (["first", "second"], [10, 10]))

    def test_many_queries_come_from_a_file_beside_the_page(self):
        world = World(self.home / "large", 8000)
        run = world.evaluate("run", result_of, "--report", "--no-trec")
        self.assertLess((run / "report.html").stat().st_size, 5e6)
        self.assertTrue((run / "report_files/queries.js").exists())
        seen = self.act(run / "report.html", """
          set("order","listed");seen.count=count();
          set("text","query</i> 7999");seen.found=ids();
        """)
        self.assertEqual(seen, {"count": "1–8 of 8 000 queries", "found": ["q7999"]})


if __name__ == "__main__":
    unittest.main()
