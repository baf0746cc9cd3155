/** The style sheet of a report: light and dark as the reader's system says, from 320 pixels on, and on paper. */
export const style = `
:root{color-scheme:light dark;--page:#f5f6f8;--card:#fff;--ink:#1b2129;--soft:#565f6b;--line:#d9dee5;--main:#2266b3;--quiet:#7d8897;--before:#a54800;--good:#14682e;--bad:#b01c26;--warn:#8a4b00;--one:#2266b3;--two:#8a4fbf;--three:#b46a00;--four:#2f8f5b;--rest:#c9d0d9;--goodback:#e3f4e7;--badback:#fce8e8;--warnback:#fdf0dc}
@media (prefers-color-scheme:dark){:root{--page:#0f1318;--card:#181e25;--ink:#e4eaf1;--soft:#a0acb9;--line:#2f3843;--main:#62a8f5;--quiet:#8793a1;--before:#f0a050;--good:#6fd68c;--bad:#ff9a94;--warn:#f2bd6b;--one:#62a8f5;--two:#bf94ec;--three:#e3a24a;--four:#63c48d;--rest:#3b4551;--goodback:#16301e;--badback:#3a1c1e;--warnback:#352812}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI","Noto Sans",sans-serif}
header,main,footer{max-width:1160px;margin:0 auto;padding:0 20px}
header{padding-top:28px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}
h1 span{color:var(--soft);font-weight:400}
h2{font-size:19px;margin:0 0 10px}
h3{font-size:16px;margin:22px 0 8px;overflow-wrap:anywhere}
p{margin:6px 0 10px;overflow-wrap:anywhere}
nav ul{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:10px 0 18px;padding:0}
a{color:var(--main)}
a:focus-visible,summary:focus-visible,pre:focus-visible{outline:2px solid var(--main);outline-offset:2px}
main section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:16px 20px 18px;margin:0 0 18px}
main section section{border:0;border-top:1px solid var(--line);border-radius:0;padding:0 0 4px;margin:18px 0 0}
.skip{position:absolute;left:-9999px}
.skip:focus{left:20px;top:4px;background:var(--card);padding:4px 8px}
.trial{background:var(--warnback);color:var(--warn);border-radius:6px;padding:8px 12px;font-weight:600}
.lead{font-size:16px}
.mark{font-weight:600;white-space:nowrap}
.passed{color:var(--good)}
.mark.failed{color:var(--bad)}
.silent{color:var(--warn)}
.unchecked{color:var(--soft);font-weight:400}
.lead .mark{border-radius:6px;padding:3px 10px;background:var(--line)}
.lead .passed{background:var(--goodback)}
.lead .mark.failed{background:var(--badback)}
.lead .silent{background:var(--warnback)}
dl{margin:0}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:10px 22px;margin:4px 0 14px}
dt{color:var(--soft);font-size:13px}
dd{margin:0;overflow-wrap:anywhere}
.value{overflow-wrap:anywhere}
.failures{list-style:none;margin:8px 0 14px;padding:0}
.failure{border-left:4px solid var(--bad);background:var(--page);border-radius:0 6px 6px 0;padding:8px 12px;margin:0 0 8px}
.failure dl div{display:grid;grid-template-columns:76px 1fr;gap:8px}
.failure dd{white-space:pre-wrap}
.what,.problem{margin:0 0 4px}
code,pre{font:12.5px/1.5 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;background:var(--page);border:1px solid var(--line);border-radius:6px;padding:10px;max-height:340px;overflow:auto}
.quiet,.note{color:var(--soft)}
.changed{color:var(--before);font-weight:600}
table{width:100%;border-collapse:collapse;margin:8px 0 14px;font-size:14px}
th,td{text-align:left;vertical-align:top;padding:5px 14px 5px 0;border-bottom:1px solid var(--line);font-weight:400;overflow-wrap:anywhere}
thead th{color:var(--soft);font-size:12.5px;vertical-align:bottom;overflow-wrap:normal}
tbody tr:last-child>*{border-bottom:0}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
thead .number{white-space:normal}
.rows th:first-child{white-space:nowrap}
.digest{width:42%}
.digest code{font-size:11px}
.bar{padding-right:0}
th.bar,td.bar{width:52%;vertical-align:middle}
.short th.bar,.short td.bar{width:60%}
.steps th.bar,.steps td.bar{width:38%}
.part{padding-left:16px;color:var(--soft);display:inline-block}
svg{display:block;overflow:visible}
.swatch{display:inline-block;vertical-align:-1px}
svg text{fill:var(--soft);font-size:11px}
.tick{stroke:var(--line);stroke-width:1}
rect.main{fill:var(--main)}rect.quiet{fill:var(--quiet)}rect.failed{fill:var(--bad)}rect.before{fill:var(--before)}
rect.one{fill:var(--one)}rect.two{fill:var(--two)}rect.three{fill:var(--three)}rect.four{fill:var(--four)}rect.rest{fill:var(--rest)}
figure{margin:14px 0 0}
figcaption{margin-bottom:6px}
figure .bar{background:var(--rest);height:14px;border-radius:2px}
.legend{max-width:460px}
summary{cursor:pointer;color:var(--main)}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
footer{color:var(--soft);font-size:13px;padding-bottom:28px}
@media (max-width:760px){
header,main,footer{padding-left:12px;padding-right:12px}
main section{padding:14px 12px}
.facts{grid-template-columns:repeat(auto-fill,minmax(140px,1fr))}
.failure dl div{grid-template-columns:1fr;gap:0}
table:not(.legend),table:not(.legend) thead,table:not(.legend) tbody{display:block}
table:not(.legend) thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table:not(.legend) tr{display:flex;flex-wrap:wrap;gap:0 12px;border-bottom:1px solid var(--line);padding:6px 0}
table:not(.legend) th,table:not(.legend) td{border:0;padding:0;max-width:100%}
table:not(.legend) td:empty{display:none}
tbody th{font-weight:600}
.rows tbody td:nth-child(2){flex:1 1 40%}
.chart tbody th{flex:1 1 50%;font-weight:400}
table .words,table .digest,table td.bar,.short td.bar,.steps td.bar{flex:1 1 100%;width:100%}
.words,.digest{color:var(--soft)}
.hosts tbody th,.jobs tbody th,.artifacts tbody th{flex:1 1 100%}
.hosts td.number::before{color:var(--soft)}
.hosts td:nth-child(3)::before{content:"passed "}.hosts td:nth-child(4)::before{content:"failed "}.hosts td:nth-child(5)::before{content:"no answer "}.hosts td:nth-child(6)::before{content:"not checked "}
.jobs td:nth-child(4)::before{content:"steps from the cache: "}
.steps td:nth-child(3)::before{content:"last time "}
}
@media print{body{background:#fff}main section{break-inside:auto;border:0;padding:0}nav{display:none}tr{break-inside:avoid}}
`;
