// How the page looks. Every text colour has a contrast of at least 4.5 to what it stands on, in both schemes.
#include "sections.h"

namespace capture {

std::string_view style_sheet() {
  static constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;
--page:#faf9f7;--card:#fff;--ink:#1b1f23;--soft:#59616a;--line:#e3e0da;--faint:#efece6;--accent:#0e6670;--tint:#e4f0f0;
--hit:#17693a;--hit-tint:#e7f3ea;--miss:#96392d;--bar:#b9c3c6;--edge:#8a8f96;
--s0:#0e6670;--s1:#ad4520;--s2:#5a4ab3;--s3:#7a5a00;--s4:#9c2670;--s5:#3f671d;--shade:rgba(20,25,30,.2)}
@media (prefers-color-scheme:dark){:root{
--page:#14171a;--card:#1c2024;--ink:#e9e7e3;--soft:#a6aeb6;--line:#343a41;--faint:#252a2f;--accent:#6fc6cf;--tint:#1b3236;
--hit:#76cf92;--hit-tint:#19301f;--miss:#f09b8c;--bar:#4d575e;--edge:#727b84;
--s0:#6fc6cf;--s1:#f0a281;--s2:#b6abf5;--s3:#dabf60;--s4:#ec92c8;--s5:#a2cf82;--shade:rgba(0,0,0,.6)}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0 auto;padding:0 20px 64px;max-width:1160px;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Helvetica Neue",Arial,sans-serif}
p{margin:0 0 .5rem;max-width:46rem;overflow-wrap:anywhere}
h1,h2,h3,h4{line-height:1.2;margin:0;text-wrap:balance;overflow-wrap:anywhere}
h1{font-size:2.1rem;letter-spacing:-.02em;font-weight:700}
section>h2{font-size:1.45rem;letter-spacing:-.01em;margin-bottom:.4rem}
h3{font-size:1.05rem}
h4{font-size:.95rem}
a{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:-999px}
.skip:focus{left:20px;top:8px;background:var(--card);padding:.4rem .8rem}
.banner{padding:44px 0 18px}
.origin{margin:.35rem 0 0;color:var(--soft);max-width:none}
.origin bdi{display:inline-block;max-width:100%;margin-right:1.2rem;font-size:.93rem}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.3rem;border-block:1px solid var(--line);padding:.55rem 0;font-size:.93rem}
nav a{text-decoration:none;padding:.15rem 0}
nav a:hover{text-decoration:underline}
section{margin-top:56px}
.lead{color:var(--soft);margin-bottom:1.2rem}
.note{color:var(--soft);font-size:.86rem}
)"
                                             // Headline tiles and tables.
                                             R"(
.headlines{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:16px;margin-top:28px}
.headline{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px 22px 14px}
.headline h2{font-size:1rem;font-weight:600;color:var(--soft)}
.figure{margin:.15rem 0 .4rem;display:flex;flex-wrap:wrap;align-items:baseline;gap:0 .6rem}
.figure strong{font-size:3.3rem;line-height:1.1;letter-spacing:-.035em;font-weight:700;color:var(--accent);font-variant-numeric:tabular-nums}
.figure span{color:var(--soft)}
.headline p.gain{color:var(--soft);font-size:.9rem}
.table{margin-top:22px}
.table>.note{margin-top:.5rem}
.table>h3,.table>h4{margin-bottom:.55rem}
.wide{position:relative;overflow-x:auto;background:linear-gradient(to left,var(--card) 40%,transparent) right/3rem 100% no-repeat local,linear-gradient(to left,var(--shade),transparent) right/.9rem 100% no-repeat,var(--card);border:1px solid var(--line);border-radius:10px}
table{--first:12rem;--each:6.5rem;border-collapse:separate;border-spacing:0;width:100%;font-variant-numeric:tabular-nums}
th:not(:first-child){width:calc(80%/var(--columns,6))}
th,td{padding:.55rem .9rem;min-width:var(--each);text-align:right;vertical-align:baseline;border-top:1px solid var(--faint)}
thead th{border-top:0;vertical-align:bottom;line-height:1.3;font-size:.82rem;font-weight:600;color:var(--soft)}
th:first-child{width:var(--first);min-width:var(--first);max-width:18rem;text-align:left;position:sticky;left:0;z-index:1;background:var(--card);overflow-wrap:break-word}
tbody th{font-weight:500;line-height:1.35}
th button{all:unset;cursor:pointer;box-sizing:border-box}
th button:hover{text-decoration:underline}
th button:focus-visible{outline:2px solid var(--accent);outline-offset:3px;border-radius:2px}
th button::after{content:"\2195";opacity:.45;margin-left:.3em}
th[aria-sort=ascending] button::after{content:"\2191";opacity:1}
th[aria-sort=descending] button::after{content:"\2193";opacity:1}
th small{display:block;font-size:.8rem;font-weight:400;color:var(--soft)}
.best .value{font-weight:700}
.bar{display:block;height:4px;margin-top:.3rem;border-radius:2px;background:var(--faint);overflow:hidden}
.bar i{display:block;height:100%;border-radius:2px;background:var(--bar)}
.best .bar i{background:var(--accent)}
.unknown{color:var(--soft)}
.protocol{display:grid;grid-template-columns:minmax(0,17rem) minmax(0,1fr);gap:8px 36px;border-top:1px solid var(--line);padding:20px 0 26px}
.about p{font-size:.9rem;color:var(--soft);margin-top:.45rem}
.tables .table:first-child{margin-top:0}
.tables th,.tables td{padding:.42rem .8rem}
.tables table{--first:5.5rem;--each:4.5rem}
details{border-top:1px solid var(--line);padding:.7rem 0}
summary{cursor:pointer;font-weight:600;color:var(--accent)}
dl{margin:.8rem 0 0;overflow-wrap:anywhere}
dt{font-size:.86rem;color:var(--soft)}
dd{margin:0}
.terms{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:.9rem 2.2rem}
.terms dt{font-weight:600;color:var(--ink)}
.terms dd{font-size:.9rem;color:var(--soft)}
)"
                                             // Charts.
                                             R"(
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,25rem),1fr));gap:16px;margin-top:18px}
figure{margin:0;min-width:0;overflow:hidden;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px 10px}
figcaption{font-weight:600;margin-bottom:.4rem;overflow-wrap:anywhere}
.plot{display:block;width:100%;height:auto;max-width:620px;overflow:visible;font-variant-numeric:tabular-nums}
.plot text{fill:var(--soft);font-size:10.5px}
.grid{stroke:var(--faint)}
.axis{stroke:var(--line)}
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}.s5{--c:var(--s5)}
.plot .line{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}
.plot .dot{fill:var(--c)}
.plot .end{fill:var(--c);font-weight:600}
.plot .value{fill:var(--soft);font-weight:400}
.plot .area{fill:var(--c);fill-opacity:.16;stroke:var(--c);stroke-width:1.6;stroke-linejoin:round}
.plot .dashed{stroke-dasharray:4 2.5}
.plot .zero{stroke:var(--soft)}
.plot .rowname,.plot .rowvalue{fill:var(--ink);font-size:11px}
.plot .range{stroke:var(--c);stroke-width:2.4;stroke-linecap:round}
.gain{--c:var(--hit)}.loss{--c:var(--miss)}.even{--c:var(--soft)}
.differences{max-width:36rem;margin-top:18px}
)"
                                             // Queries and their results.
                                             R"(
.legend>span{display:inline-flex;align-items:center;gap:.4rem}
.legend{display:flex;flex-wrap:wrap;align-items:center;gap:.4rem 1.2rem;font-size:.9rem;color:var(--soft);max-width:none}
.sample{padding:.05rem .5rem;border-radius:6px;font-weight:600}
#queries h3{font-size:1.15rem;margin-top:2rem}
.query{display:grid;grid-template-columns:13.5rem minmax(0,1fr);gap:22px;padding:22px 0;border-top:1px solid var(--line)}
#queries h3+.note{margin-bottom:.9rem}
.photo{display:block;width:100%;aspect-ratio:1;object-fit:contain;background:var(--faint);border-radius:7px}
.none{background:var(--faint) url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%23899098' stroke-width='1.2'%3E%3Crect x='3' y='5' width='18' height='14' rx='2'/%3E%3Ccircle cx='8.5' cy='10' r='1.5'/%3E%3Cpath d='M4 17l5-4 3 2 4-4 5 5'/%3E%3C/svg%3E") center/40% no-repeat}
.asked .photo{border-radius:10px;margin-bottom:.7rem}
.plain .asked{display:block}
.labels{list-style:none;margin:.5rem 0;padding:0;display:flex;flex-wrap:wrap;gap:.3rem}
.labels li{background:var(--tint);border-radius:6px;padding:.12rem .5rem;font-size:.83rem;overflow-wrap:anywhere}
.key{display:inline-block;min-width:1.35em;padding:0 .3em;border-radius:4px;background:var(--accent);color:var(--page);font-size:.78rem;line-height:1.45;text-align:center}
.labels small{white-space:nowrap;color:var(--soft);margin-left:.4rem}
.labels .key{margin:0 .35rem 0 -.15rem}
.ap{margin:.4rem 0 .1rem;color:var(--soft);font-size:.9rem}
.ap strong{font-size:1.3rem;color:var(--ink);font-variant-numeric:tabular-nums}
.id{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.ranking{list-style:none;margin:0;padding:0;display:grid;grid-template-columns:repeat(5,minmax(0,1fr));gap:10px;align-content:start}
.ranking li{background:var(--card);border-radius:9px;padding:6px;min-width:0;display:flex;flex-direction:column}
.hit{border:2px solid var(--hit)}
.miss{border:2px dashed var(--bar)}
.sample.hit,.hit .verdict{color:var(--hit)}
.sample.miss,.miss .verdict{color:var(--miss)}
.mark{display:flex;justify-content:space-between;align-items:center;margin:0 2px 5px;font-size:.82rem;font-weight:600}
.rank{color:var(--soft);font-weight:400}
.verdict .key{margin-left:.35rem;background:var(--hit)}
.miss .photo{opacity:.82}
.ranking .title{margin:.4rem 2px .1rem;font-size:.84rem;line-height:1.3;display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden}
.ranking .label{display:flex;gap:.4rem;margin:auto 2px 0;font-size:.78rem;color:var(--soft)}
.label bdi{min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.score{flex:0 0 auto;max-width:100%;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;position:relative;margin-left:auto;font-variant-numeric:tabular-nums}
.found{border:1px solid var(--line)}
.runs{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:18px 22px;align-content:start}
h5{margin:0 0 .5rem;font-size:.95rem;font-weight:500}
h5 strong{font-size:1.15rem;font-variant-numeric:tabular-nums}
.run .ranking{gap:7px}
.run .ranking li{padding:4px}
.run .title,.run .label{display:none}
.run .mark{font-size:.7rem;white-space:nowrap}
.run .mark .key{margin-left:.15rem;min-width:1.2em;padding:0 .2em;font-size:.68rem}
.plain .run .ranking{grid-template-columns:minmax(0,1fr);gap:4px}
.plain .run li{flex-direction:row;align-items:baseline;gap:.6rem;padding:2px 8px}
.plain .run .mark{flex:0 0 5.4rem;margin:0}
.plain .run .title{display:block;margin:0;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.controls{display:flex;flex-wrap:wrap;gap:.7rem 1rem;align-items:end;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px 14px;margin-top:.6rem}
.controls label{display:grid;gap:.2rem;font-size:.82rem;color:var(--soft);min-width:0}
.controls select,.controls input,.pager button{font:inherit;font-size:.93rem;color:var(--ink);background:var(--page);border:1px solid var(--edge);border-radius:7px;padding:.35rem .6rem;min-height:2.3rem;max-width:100%}
.controls .search{flex:1 1 12rem}
.pager{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem .6rem;margin:.9rem 0}
.pager p{margin:0 .4rem 0 0}
.pager button{cursor:pointer;padding:.35rem .9rem}
.pager button:disabled{opacity:.5;cursor:default}
.pager.end{margin:.4rem 0 0;border-top:1px solid var(--line);padding-top:16px}
.keys{margin-left:auto!important}
kbd{display:inline-block;min-width:1.5em;padding:0 .35em;border:1px solid var(--edge);border-bottom-width:2px;border-radius:4px;text-align:center;font:inherit;font-size:.8rem}
.query:focus-visible{outline-offset:6px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:8px 28px;align-items:start}
.two table{--first:9rem;--each:4.3rem}
.two th:not(:first-child){width:15%}
.two th,.two td{padding:.5rem .7rem}
.two details{border:0}
.confusions{list-style:none;margin:0;padding:0;background:var(--card);border:1px solid var(--line);border-radius:10px}
.confusions li{display:grid;grid-template-columns:minmax(0,1fr) 1.4rem minmax(0,1fr) 4.8rem;gap:.5rem;align-items:center;padding:.5rem .9rem;border-top:1px solid var(--faint)}
.confusions li:first-child{border-top:0}
.confusions .photo{width:2.5rem;height:2.5rem;flex:0 0 auto;object-fit:cover}
.side{display:flex;gap:.6rem;align-items:center;min-width:0;line-height:1.25;font-size:.9rem;overflow-wrap:anywhere}
.taken{color:var(--soft);text-align:center}
.places{white-space:nowrap;font-size:.82rem;color:var(--soft);text-align:right;font-variant-numeric:tabular-nums}
.compared th,.compared td{padding:.4rem .9rem;width:auto}
.compared th:first-child{overflow-wrap:break-word}
.compared td{white-space:nowrap}
.figure .gain,.figure .loss{color:var(--c)}
.compared .difference{font-weight:600}
tr.gain .difference{color:var(--hit)}
tr.loss .difference{color:var(--miss)}
.wins .bar{display:flex;background:var(--miss)}
.wins .bar i{border-radius:0}
.wins .won{background:var(--hit)}
.wins .even{background:var(--bar)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,15rem),1fr));gap:1rem 2rem}
pre{margin:.2rem 0 1rem;padding:.8rem 1rem;background:var(--card);border:1px solid var(--line);border-radius:8px;overflow-x:auto;overflow-wrap:anywhere;font:.84rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre.command{white-space:pre-wrap}
details pre{max-height:34rem;margin-top:.8rem}
#details h3{margin:1.8rem 0 .6rem}
.purpose{font-size:.9rem;color:var(--soft);margin-bottom:.2rem}
)"
                                             // Narrow screens, then paper.
                                             R"(
@media (max-width:820px){
.protocol{grid-template-columns:minmax(0,1fr)}
.query{grid-template-columns:minmax(0,1fr);gap:14px}
.asked{display:grid;grid-template-columns:8.5rem minmax(0,1fr);gap:14px;align-items:start}
.asked .photo{margin:0}}
@media (max-width:560px){
body{padding:0 16px 48px}
.banner{padding:28px 0 14px}
h1{font-size:1.65rem}
section{margin-top:44px}
.figure strong{font-size:2.8rem}
figure{padding:12px 10px 8px}
.plot text{font-size:12.5px}
.ranking{grid-template-columns:repeat(3,minmax(0,1fr));gap:7px}
.ranking li{padding:4px}
.ranking .label bdi{display:none}
.ranking .title{font-size:.78rem}
th,td{padding:.5rem .6rem}
table{--first:7.2rem;--each:4.6rem}
.tables table{--first:2.4rem;--each:2.6rem}
.tables th,.tables td{padding:.42rem .4rem}
.tables th:first-child,.tables td:first-child{padding-left:.7rem}
.run .ranking{grid-template-columns:repeat(5,minmax(0,1fr));gap:5px}
.run .mark{margin:0 0 3px}
.two table{--first:6.4rem;--each:3.2rem}
.two th,.two td{padding:.45rem .4rem}
.run .word{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.confusions li{grid-template-columns:minmax(0,1fr) 1rem minmax(0,1fr)}
.places{grid-column:1/-1;text-align:left}
.keys{display:none}}
@media print{
@page{margin:14mm}
:root{color-scheme:light;--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--faint:#e8e8e8;--accent:#0e6670;--tint:#eef4f4;--hit:#17693a;--miss:#96392d;--bar:#aaa;--edge:#777;
--s0:#0e6670;--s1:#ad4520;--s2:#5a4ab3;--s3:#7a5a00;--s4:#9c2670;--s5:#3f671d;--shade:transparent}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
body{max-width:none;padding:0;font-size:10pt}
nav,.skip,.controls,.pager button,.keys{display:none}
section{margin-top:24pt}
.query,.table,figure,.headline{break-inside:avoid}
h2,h3,h4,.note,.lead,.legend{break-after:avoid}
.query{display:flow-root}
.asked{display:block;float:left;width:3.3cm}
.asked .photo{margin:0 0 5pt}
.query>.ranking,.query>.runs{margin-left:3.8cm}
.protocol,.two,.charts{display:block}
.charts figure{display:inline-block;width:48.5%;margin:0 1% 10pt 0;vertical-align:top}
.ranking li,.run,.confusions{break-inside:avoid}
details.long{display:none}
.wide,pre,details pre{overflow:visible;max-height:none;white-space:pre-wrap}}
)";
  return kStyle;
}

}  // namespace capture
