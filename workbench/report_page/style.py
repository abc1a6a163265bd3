"""How the page looks: light or dark as the reader's system is, and light on paper."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --ground: #fff; --card: #fff; --line: #d9dee4; --ink: #1b232c;
  --soft: #5b6875; --faint: #eef1f4; --reference: #aab4bf; --now: #2563a8; --ok: #2e7d4f;
  --watch: #64748b; --warning: #a66300; --critical: #c0262d; --insufficient: #64748b;
  --ok-ground: #e9f5ee; --watch-ground: #eef1f5; --warning-ground: #fdf3e1; --critical-ground: #fcebec;
  --insufficient-ground: #eef1f5; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ground: #12171d; --card: #1a2129; --line: #313c48; --ink: #e4e9ee; --soft: #9aa7b4;
    --faint: #232c36; --reference: #5d6a78; --now: #6db0f2; --ok: #6cc48f; --watch: #9aa9bb;
    --warning: #f0b04f; --critical: #ff7b7b; --insufficient: #9aa9bb; --ok-ground: #15291e;
    --watch-ground: #222b35; --warning-ground: #32270f; --critical-ground: #371b1e;
    --insufficient-ground: #222b35; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 25px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 38px 0 4px; }
h3 { font-size: 14px; margin: 0 0 2px; overflow-wrap: anywhere; }
p { margin: 6px 0; }
.soft, caption, .note { color: var(--soft); }
.note { font-size: 13.5px; max-width: 78ch; }
.verdict { border: 1px solid; border-left-width: 6px; border-radius: 8px; padding: 14px 18px;
  margin: 20px 0; }
.verdict strong { font-size: 18px; display: block; }
.verdict ul { margin: 6px 0 0; padding-left: 20px; }
.ok { color: var(--ok); } .watch { color: var(--watch); } .warning { color: var(--warning); }
.critical { color: var(--critical); } .insufficient { color: var(--insufficient); }
.verdict.ok { background: var(--ok-ground); } .verdict.watch { background: var(--watch-ground); }
.verdict.warning { background: var(--warning-ground);
  } .verdict.critical { background: var(--critical-ground); }
.verdict.insufficient { background: var(--insufficient-ground); }
.verdict > * { color: var(--ink); } .verdict > strong { color: inherit; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 18px 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; background: var(--card); }
.tile b { display: block; font-size: 21px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; white-space: nowrap; }
th, td { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.name { font-weight: 600; overflow-wrap: anywhere; min-width: 130px; max-width: 220px; }
td.why { color: var(--soft); font-size: 13px; min-width: 190px; }
tr.quiet td.name { font-weight: 400; }
.mark { white-space: nowrap; font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px;
  margin-top: 12px; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px 8px; background: var(--card);
  break-inside: avoid; min-width: 0; }
.card p { font-size: 12.5px; margin: 0 0 4px; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--soft); }
svg .reference { fill: var(--reference); } svg .now { fill: var(--now); }
svg .line { fill: none; stroke: var(--now); stroke-width: 2; stroke-linejoin: round; }
svg .area { fill: var(--now); opacity: .13; }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg .limit { stroke-width: 1.3; stroke-dasharray: 5 4; fill: none; }
svg .limit.warning { stroke: var(--warning); } svg .limit.critical { stroke: var(--critical); }
svg text.warning { fill: var(--warning); } svg text.critical { fill: var(--critical); }
svg .deploy { stroke: var(--soft); stroke-dasharray: 2 3; }
svg .dot { fill: var(--now); } svg .dot.warning { fill: var(--warning); }
svg .dot.critical { fill: var(--critical); }
svg .hollow { fill: var(--card); stroke: var(--now); stroke-width: 2; }
svg .band { stroke: var(--now); stroke-width: 6; opacity: .3; stroke-linecap: round; }
svg .was { stroke: var(--ink); stroke-width: 2; }
svg .perfect { stroke: var(--reference); stroke-dasharray: 4 4; }
.key { font-size: 13px; color: var(--soft); margin: 6px 0 0; }
.key i { display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin: 0 5px -1px 14px; }
.key i:first-child { margin-left: 0; }
.key .is-reference { background: var(--reference); } .key .is-now { background: var(--now); }
details summary { cursor: pointer; color: var(--soft); margin-top: 14px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 18px; font-size: 14px; }
dt { font-weight: 600; } dd { margin: 0; color: var(--soft); max-width: 80ch; }
footer { margin-top: 44px; padding-top: 12px; border-top: 1px solid var(--line); color: var(--soft);
  font-size: 13px; }
@media (max-width: 560px) { dl { grid-template-columns: 1fr; } .cards { grid-template-columns: 1fr; } }
@media print { body { font-size: 11pt; } main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  tr, .card, .verdict, .tile { break-inside: avoid; } .scroll { overflow: visible; }
  .cards { grid-template-columns: repeat(2, 1fr); } details > summary { display: none; }
  .verdict, .tile, svg * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
