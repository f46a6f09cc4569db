/**
 * The look of the pages for visitors, in the colors of the page at `/`. It styles elements more than
 * classes. `main` has a heading, paragraphs, a list of facts (`dl`), forms and rows of files (`li`).
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#f4f3ee, #101413);
  --surface: light-dark(#fffefb, #191e1c);
  --ink: light-dark(#18201d, #e9ece7);
  --quiet: light-dark(#56615c, #9fa9a4);
  --line: light-dark(#dedcd2, #2c3330);
  --edge: light-dark(#85908b, #77817c);
  --accent: light-dark(#0b6b5b, #74d3bb);
  --on-accent: light-dark(#fff, #05231c);
  --danger: light-dark(#a8261a, #ff9c8f);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { background: var(--paper); color: var(--ink); margin: 0; overflow-wrap: anywhere; }
main {
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: 14px;
  margin: min(6vh, 4rem) auto;
  max-width: 36rem;
  padding: 2rem;
}
h1, h2, p, dl, ul { margin: 0 0 1rem; padding: 0; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin-bottom: 0.25rem; }
.small { color: var(--quiet); font-size: 0.875rem; }
.text { white-space: pre-wrap; }
.error, [role=alert] { color: var(--danger); }
figure { border-left: 3px solid var(--line); margin: 0 0 1rem; padding-left: 1rem; }
figcaption { color: var(--quiet); font-size: 0.875rem; }
blockquote { margin: 0; white-space: pre-wrap; }
.unseen { clip-path: inset(50%); height: 1px; margin: 0; overflow: hidden; position: absolute; width: 1px; }
dl { border-block: 1px solid var(--line); display: grid; gap: 0.25rem 1.25rem; grid-template-columns: auto 1fr; padding: 0.75rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; }
form > :last-child, section > :last-child, main > :last-child { margin-bottom: 0; }
label { display: block; margin-bottom: 1rem; }
label:has(+ input) { margin-bottom: 0.25rem; }
input:not([type=file]), textarea {
  background: var(--paper);
  border: 1px solid var(--edge);
  border-radius: 8px;
  color: inherit;
  display: block;
  font: inherit;
  margin-top: 0.25rem;
  min-height: 2.75rem;
  padding: 0.5rem 0.75rem;
  width: 100%;
}
textarea { resize: vertical; }
button {
  background: none;
  border: 1px solid var(--edge);
  border-radius: 8px;
  color: inherit;
  cursor: pointer;
  font: inherit;
  min-height: 2.75rem;
  padding: 0.5rem 1rem;
}
button[type=submit], button:not([type]) {
  background: var(--accent);
  border-color: var(--accent);
  color: var(--on-accent);
  font-weight: 600;
  width: 100%;
}
button:hover { filter: brightness(1.1); }
button:disabled { cursor: default; opacity: 0.6; }
:focus-visible, .drop:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; }
.drop {
  border: 2px dashed var(--edge);
  border-radius: 12px;
  cursor: pointer;
  padding: 1.75rem 1rem;
  text-align: center;
  transition: background-color 0.15s;
}
.drop b { color: var(--accent); text-decoration: underline; }
.drop input { height: 1px; opacity: 0; position: absolute; width: 1px; }
.drop:hover, .over .drop { background: var(--paper); border-color: var(--accent); }
.files { list-style: none; }
.files li { align-items: center; border-top: 1px solid var(--line); contain-intrinsic-size: auto 3.5rem; content-visibility: auto; display: flex; flex-wrap: wrap; gap: 0.25rem 0.5rem; overflow-clip-margin: 0.5rem; padding: 0.625rem 0; }
.files p { flex: 1; margin: 0; min-width: 0; }
.files span { display: block; }
.files button { min-height: 2.25rem; padding: 0.25rem 0.75rem; }
progress {
  accent-color: var(--accent);
  appearance: none;
  background: var(--line);
  border: 0;
  border-radius: 3px;
  height: 6px;
  overflow: hidden;
  width: 100%;
}
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--accent); transition: inline-size 0.2s; }
progress::-moz-progress-bar { background: var(--accent); }
button ~ p:not(.unseen) { margin-top: 1rem; }
.thanks { border: 1px solid var(--accent); border-radius: 12px; margin-bottom: 1rem; padding: 1rem; }
@media (max-width: 30rem) { body { background: var(--surface); } main { border: 0; margin: 0; padding: 1.25rem 1rem 2rem; } .wide { display: none; } }
@media (prefers-reduced-motion: reduce) { *, ::-webkit-progress-value { transition: none !important; } }
`
