// Thumbs with their reasons and comment. Every change is sent as a whole, one save at a time per reply.
const judged = ({ thumb, reasons, comment }) => ({ value: thumb, reasons, comment });

const takeJudged = (part, { judged: stored, saved }) => {
  part.judged = stored;
  part.saved = saved;
  part.turn = withJudged(part);
};
const withJudged = ({ turn, judged: { value, reasons, comment } }) => ({ ...turn, thumb: value, reasons, comment });
// Conversations are read and thumbs saved under ids in order of time; a drawing may come later than what was saved since.
const isReadBefore = ({ saved }) => Boolean(saved) && (props.value.read ?? '') < saved;

const makeJudging = (part) => {
  const press = (value) => (event) => {
    if (event.detail > 1) return; // the second half of a double click
    part.pressed = event;
    const taken = part.judged.value === value && !part.judgeError;
    part.wanted = { value: taken ? null : value, reasons: [], comment: part.comment?.value ?? waitingComment(part) };
    part.panelOpen = !taken;
    saveJudgement(part);
  };
  part.thumbs = { up: tool('up', words.good, press('up')), down: tool('down', words.bad, press('down')) };
  part.summary = el('button', { type: 'button', class: 'why-summary users-own', onclick: () => openPanel(part) });
  part.panel = el('div', { class: 'why-panel', role: 'group', hidden: true });
  part.panel.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') closePanel(part, event);
  });
  part.panel.addEventListener('click', (event) => {
    if (!belongsToThumb(part.pressed, event)) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
};

const waitingComment = ({ judgeError, wanted }) => (judgeError ? wanted.comment : ''); // of a closed panel

// A double click on a thumb hits what has opened under it with its second half: same place, a moment later.
const belongsToThumb = (pressed, { detail, timeStamp, clientX, clientY }) =>
  pressed?.detail > 0 && detail > 0 && timeStamp - pressed.timeStamp < 500 &&
  Math.hypot(clientX - pressed.clientX, clientY - pressed.clientY) < 12;

const openPanel = (part) => {
  part.panelOpen = true;
  drawJudging(part);
};

const closePanel = (part, event) => {
  event.preventDefault();
  event.stopPropagation();
  const { value } = part.judged;
  const written = part.write();
  const unsaved = isUnsaved(part);
  part.panelOpen = false;
  part.panel.replaceChildren();
  part.comment = null;
  if (unsaved) part.wanted = written; // after a failed save it waits in the panel; otherwise it is saved now
  if (unsaved && !part.judgeError) saveJudgement(part);
  drawJudging(part);
  part.thumbs[value ?? 'up'].focus();
};

const isUnsaved = (part) => {
  const shown = part.saving ? part.wanted : part.judged;
  return Boolean(part.comment) && part.comment.value.trim() !== shown.comment.trim();
};

const saveJudgement = (part) => {
  part.judgeError = '';
  if (part.saving) part.saveAgain = true;
  else {
    part.saving = true;
    const sent = part.wanted;
    save('judged', { id: part.turn.id, ...sent, value: sent.value ?? '' }, (answer) => {
      part.saving = false;
      if (part.saveAgain) {
        part.saveAgain = false;
        if (answer.ok) takeJudged(part, answer);
        saveJudgement(part);
        return;
      }
      if (answer.ok) {
        takeJudged(part, answer);
        part.wanted = part.judged;
        if (!part.judged.value) {
          part.panelOpen = false;
          part.panel.replaceChildren();
          part.comment = null;
        }
      } else {
        part.judgeError = answer.error;
        part.panelOpen = true;
      }
      drawJudging(part);
    });
  }
  drawJudging(part);
};

// A thumb is about the reply as it was written: it is not offered under the correction that stands in its place.
const hidesThumbs = ({ turn, original }) => turn.corrected && !original;

const reasonWord = (value, key) => props.reasons[value]?.find(([offered]) => offered === key)?.[1] ?? key;

const drawJudging = (part) => {
  const shown = part.saving || part.judgeError ? part.wanted : part.judged;
  for (const [value, button] of Object.entries(part.thumbs)) {
    button.setAttribute('aria-pressed', String(shown.value === value && !part.judgeError));
    button.classList.toggle('saving', Boolean(part.saving) && shown.value === value);
  }
  const { value, reasons, comment } = part.judged;
  const said = [...reasons.map((key) => reasonWord(value, key)), ...(comment ? [comment] : [])].join(' · ');
  setText(part.summary, part.judgeError || said || words.add_reason);
  part.summary.hidden = part.panelOpen || !(value || part.judgeError) || hidesThumbs(part);
  const kind = shown.value ?? part.judged.value ?? part.wanted?.value;
  part.panel.hidden = !part.panelOpen || !(kind || part.judgeError) || hidesThumbs(part);
  for (const button of Object.values(part.thumbs)) button.hidden = hidesThumbs(part);
  if (!part.panel.hidden) keepInPlace(() => drawPanel(part, kind, shown));
};

const drawPanel = (part, kind, shown) => {
  if (part.panel.dataset.kind !== kind || !part.comment) buildPanel(part, kind, shown);
  for (const chip of part.chips) chip.setAttribute('aria-pressed', String(shown.reasons.includes(chip.dataset.key)));
  tellSaved(part);
};

const tellSaved = (part) => {
  const stored = part.judged.value && !isUnsaved(part) ? words.saved : '';
  setText(part.told, part.judgeError || (part.saving ? words.saving : stored));
  part.told.classList.toggle('wrong', Boolean(part.judgeError));
};

const buildPanel = (part, kind, shown) => {
  const title = kind === 'down' ? words.why_bad : words.why_good;
  const now = () => ({ value: kind, reasons: (part.wanted ?? part.judged).reasons, comment: part.comment.value });
  const toggle = (key) => () => {
    const { reasons } = now();
    const changed = reasons.includes(key) ? reasons.filter((one) => one !== key) : [...reasons, key];
    part.wanted = { ...now(), reasons: changed };
    saveJudgement(part);
  };
  const send = () => {
    part.wanted = now();
    saveJudgement(part);
  };
  const typed = part.comment?.value ?? shown.comment;
  part.write = now;
  part.panel.dataset.kind = kind;
  part.panel.setAttribute('aria-label', title);
  part.chips = (props.reasons[kind] ?? []).map(([key, word]) =>
    textButton(word, toggle(key), { class: 'chip', 'data-key': key, 'aria-pressed': 'false' }),
  );
  part.comment = el('textarea', {
    rows: 2, maxlength: 2000, placeholder: words.comment, 'aria-label': words.comment, oninput: () => tellSaved(part),
    onkeydown: (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      send();
    },
  });
  part.comment.value = typed;
  part.told = el('span', { class: 'told', role: 'status' });
  part.panel.replaceChildren(
    el('div', { class: 'why-title' }, el('b', {}, title), tool('close', words.close, (event) => closePanel(part, event))),
    el('div', { class: 'chips' }, ...part.chips),
    part.comment,
    el(
      'div',
      { class: 'row' },
      textButton(words.save, send, { class: 'primary' }),
      textButton(words.take_back, () => {
        part.wanted = { value: null, reasons: [], comment: '' };
        saveJudgement(part);
      }),
      part.told,
    ),
  );
};
