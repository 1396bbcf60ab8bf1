// The page's script. Everything that a page says it says without it; the script sorts tables, and filters, sorts and
// turns the pages of all queries.
#include "sections.h"

namespace capture {

std::string_view page_script() {
  return R"js("use strict";
addEventListener("beforeprint",()=>document.querySelectorAll("details:not(.long)").forEach(d=>d.open=true));

// A heading of a sortable table is a button: first descending, then ascending.
for(const table of document.querySelectorAll("table.sortable")){
  const body=table.tBodies[0],heads=[...table.tHead.rows[0].cells];
  const key=(row,i)=>{const text=(row.cells[i].dataset.value??row.cells[i].textContent).trim();
    const number=parseFloat(text.replace("\u2212","-").replace("<","").replace(/\u202f/g,""));return i===0||isNaN(number)?text:number};
  heads.forEach((head,i)=>{
    const button=document.createElement("button");
    button.type="button";button.append(...head.childNodes);head.append(button);
    button.addEventListener("click",()=>{
      const up=i===0?head.ariaSort!=="ascending":head.ariaSort==="descending";
      heads.forEach(other=>other.removeAttribute("aria-sort"));
      head.ariaSort=up?"ascending":"descending";
      const compare=(a,b)=>typeof a==="number"&&typeof b==="number"?a-b:String(a).localeCompare(String(b));
      const rows=[...body.rows].sort((a,b)=>(up?1:-1)*compare(key(a,i),key(b,i)));
      body.append(...rows)})})}

// All queries. data is what query_data() in src/report/query_data.cpp writes.
function explore(data){
  const $=id=>document.getElementById(id),form=$("controls"),cards=$("cards"),compares=data.runs.length>1;
  const inside=new Map([...document.querySelectorAll("img[data-photo]")].map(img=>[img.dataset.photo,img.src]));
  const photos=!document.querySelector("#queries.plain");

  // An element: attributes that are undefined are left out; children are elements or text.
  const h=(tag,attributes,...children)=>{
    const element=document.createElement(tag);
    for(const [name,value] of Object.entries(attributes))if(value!==undefined)element.setAttribute(name,value);
    element.append(...children.filter(child=>child!==""&&child!==undefined));
    return element};
  const letter=i=>i<26?String.fromCharCode(65+i):String(i+1);
  const number=(value,decimals)=>value===null?"\u2013":value.toFixed(decimals);
  const grouped=value=>String(value).replace(/\B(?=(\d{3})+$)/g,"\u202f");
  const title=item=>item[1]||item[0];
  const names=item=>item[2].map(label=>data.labels[label]);

  function photo(item,alt){
    if(!photos)return"";
    const none=()=>h("span",{class:"photo none",role:"img","aria-label":alt+": no photo"});
    if(!item[3])return none();
    const image=h("img",{class:"photo",alt,src:inside.get(item[3].replace(/\.\w+$/,""))??data.folder+"/"+item[3]});
    image.addEventListener("error",()=>image.replaceWith(none()),{once:true});
    return image}

  function result(query,item,score,rank){
    const shared=query[2].map((label,i)=>item[2].includes(label)?letter(i):"").filter(Boolean).join(", ");
    const hit=shared!=="",judged=query[2].length>0,labels=names(item).join(", "),words=title(item);
    return h("li",{class:!judged?"found":hit?"hit":"miss",
        title:words+"\nlabel: "+labels+(score===null?"":"\nscore: "+score)+"\nid: "+item[0]},
      h("p",{class:"mark"},h("span",{class:"rank"},String(rank)),
        judged?h("span",{class:"verdict"},h("span",{"aria-hidden":"true"},hit?"\u2713 ":"\u2717 "),
          h("span",{class:"word"},hit?"hit":"miss"),
          hit&&query[2].length>1?h("b",{class:"key"},shared):""):""),
      photo(item,"Photo of "+words),
      h("p",{class:"title",dir:"auto"},words),
      h("p",{class:"label"},labels===words?"":h("bdi",{},labels),
        score===null?"":h("span",{class:"score"},h("span",{class:"unseen"},"score "),number(score,3))))}

  function ranking(query,run){
    const places=query[7][run],whose=compares?" by "+data.runs[run]:"";
    if(!places.length)return h("p",{class:"note"},
      compares?"The results do not carry this run's ranking.":"Nothing was ranked for this query.");
    const list=h("ol",{class:"ranking","aria-label":"what was found"+whose+", best first"});
    for(let i=0;i<places.length;i+=2)list.append(result(query,data.items[places[i]],places[i+1],i/2+1));
    return list}

  const found=(query,label)=>query[7][0].filter((item,i)=>i%2===0&&data.items[item][2].includes(label)).length;

  function card(query){
    const several=query[2].length>1,[id,,,,positives,first,values]=query;
    const asked=h("div",{class:"asked"},photo(query,"Query photo: "+title(query)),
      h("div",{class:"words"},h("h4",{dir:"auto"},title(query)),
        query[2].length?h("ul",{class:"labels","aria-label":"products it shows"},...query[2].map((label,i)=>
          h("li",{},several?h("b",{class:"key"},letter(i)):"",h("bdi",{},data.labels[label]),
            several&&!compares?h("small",{},found(query,label)+" found"):""))):"",
        compares||!query[2].length?"":h("p",{class:"ap"},h("strong",{},number(values[0]===null?null:100*values[0],1))," "+data.metric),
        positives?h("p",{class:"note"},grouped(positives)+(positives===1?" match":" matches")+" in the gallery"+
          (first>10?", the first at place "+grouped(first):"")):"",
        h("p",{class:"note id",title:id},"id "+id)));
    const answers=!compares?ranking(query,0):h("div",{class:"runs"},...data.runs.map((run,i)=>
      h("div",{class:"run"},h("h5",{},h("bdi",{},run)," ",h("strong",{},number(values[i]===null?null:100*values[i],1))),ranking(query,i))));
    return h("article",{class:"query",tabindex:"-1"},asked,answers)}

  // The order that random_place() in src/report/queries.cpp gives.
  const place=i=>{
    let z=(Math.imul(i,0x9E3779B9)+Math.imul(data.seed,0x85EBCA6B))|0;
    z=Math.imul(z^z>>>16,0x7FEB352D);z=Math.imul(z^z>>>15,0x846CA68B);
    return(z^z>>>16)>>>0};
  const all=data.queries.map((query,i)=>({query,place:place(i),value:query[6][0]??-1,
    text:[query[0],query[1],...names(query)].join("\n").toLowerCase()}));
  const gain=(entry,run)=>(entry.query[6][run]??0)-(entry.query[6][0]??0);
  const differs=entry=>entry.query[6].some(value=>value!==entry.query[6][0]);
  const keys={random:e=>e.place,worst:e=>e.value,best:e=>-e.value,listed:()=>0};
  const key=order=>keys[order]??(order.startsWith("won")?e=>-gain(e,order.slice(3)):e=>gain(e,order.slice(4)));
  const results={any:()=>true,zero:e=>e.value===0,some:e=>e.value>0&&e.value<1,full:e=>e.value===1,
    differ:differs,same:e=>!differs(e)};

  let chosen=[],page=0;
  const pages=()=>Math.max(1,Math.ceil(chosen.length/data.shown));
  function show(){
    const begin=page*data.shown,now=chosen.slice(begin,begin+data.shown);
    cards.replaceChildren(...now.map(entry=>card(entry.query)));
    $("count").textContent=chosen.length===0?"No query is like that":
      (begin+1)+"\u2013"+(begin+now.length)+" of "+grouped(chosen.length)+(chosen.length===1?" query":" queries");
    for(const end of ["","-end"]){$("previous"+end).disabled=page===0;$("next"+end).disabled=page+1>=pages()}}
  function choose(){
    const {order,products,result,text}=form.elements,words=text.value.trim().toLowerCase(),by=key(order.value);
    chosen=all.filter(e=>(products.value==="any"||e.query[2].length===Number(products.value))&&
      results[result.value](e)&&e.text.includes(words)).sort((a,b)=>by(a)-by(b));
    page=0;show()}
  function turn(by){
    if(page+by<0||page+by>=pages())return false;
    page+=by;show();return true}
  // Focus follows to the top, so that reading goes on there and not behind what has gone.
  const turned=by=>{if(turn(by))$("found").focus({preventScroll:true}),$("found").scrollIntoView()};
  for(const end of ["","-end"]){
    $("previous"+end).addEventListener("click",()=>end?turned(-1):turn(-1));
    $("next"+end).addEventListener("click",()=>end?turned(1):turn(1))}
  form.addEventListener("input",choose);
  form.addEventListener("submit",event=>event.preventDefault());

  // J and K go from query to query, over the page's end too; / searches.
  function step(by){
    const shown=[...cards.children],at=shown.indexOf(document.activeElement?.closest("#cards>.query"));
    const next=at<0?(by>0?0:shown.length-1):at+by;
    if(shown[next])shown[next].focus();
    else if(turn(by))cards.children[by>0?0:cards.children.length-1].focus()}
  addEventListener("keydown",event=>{
    if(event.ctrlKey||event.metaKey||event.altKey||event.target.closest?.("input,select,textarea"))return;
    if(event.key==="j")step(1);
    else if(event.key==="k")step(-1);
    else if(event.key==="/"){event.preventDefault();form.elements.text.focus()}});

  // A label named elsewhere on the page leads to its queries.
  document.querySelectorAll("a[data-label]").forEach(link=>link.addEventListener("click",()=>{
    form.reset();form.elements.text.value=link.dataset.label;
    form.elements.order.value=compares?form.elements.order.options[0].value:"worst";choose()}));

  $("highlights").remove();
  $("explorer").hidden=false;
  choose()}
)js";
}

}  // namespace capture
