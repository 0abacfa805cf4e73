// What a person was writing when the page was left (a reload, also the one Gradio makes after a lost connection) is there
// again when the page is back, in this tab: the box, comments, opened editors. Texts only, and only until then.
const UNSENT = 'nightschool-unsent';
const boxArea = () => document.querySelector('#box textarea');

const unsentOf = (part) => {
  const typed = part.comment?.value ?? (part.judgeError ? part.wanted.comment : null);
  const comment = typed !== null && typed !== part.judged?.comment ? typed : null;
  const editor = part.editor ? part.area.value : null;
  return comment === null && editor === null ? null : { comment, editor, kind: part.panel?.dataset.kind };
};

window.addEventListener('pagehide', () => {
  const messages = [...parts].map(([id, part]) => [id, unsentOf(part)]).filter(([, unsent]) => unsent);
  sessionStorage.setItem(UNSENT, JSON.stringify({ box: boxArea()?.value ?? '', messages }));
});

// Called once, when the page is first drawn as it is stored.
const restoreUnsent = () => {
  const kept = JSON.parse(sessionStorage.getItem(UNSENT) ?? 'null');
  sessionStorage.removeItem(UNSENT);
  if (!kept) return;
  const box = boxArea();
  if (box && !box.value && kept.box) {
    box.value = kept.box;
    box.dispatchEvent(new Event('input', { bubbles: true }));
  }
  for (const [id, { comment, editor, kind }] of kept.messages) {
    const part = parts.get(id);
    if (!part) continue;
    if (comment !== null) {
      part.wanted = { value: kind, reasons: part.judged.value === kind ? part.judged.reasons : [], comment };
      part.judgeError = words.not_saved;
      openPanel(part);
      part.comment.value = comment;
    }
    if (editor !== null) {
      (part.turn.role === 'user' ? editQuestion : correctAnswer)(part);
      part.area.value = editor;
    }
  }
};
