// Two answers side by side, and the five ways to end it. A vote is sent once; without an answer it may be sent again,
// which the server takes as the same vote.
const OUTCOMES = ['left', 'right', 'tie', 'both_bad', 'skip'];
const KEYS = { left: '1', right: '2', tie: '0', both_bad: '-', skip: 's' };

const card = (side) => {
  const body = el('div', { class: 'said prose users-own', id: `answer-${side}` });
  const mark = el('p', { class: 'turn-mark', hidden: true }, words.stopped);
  const title = el('h3', { class: 'card-title' }, words[side]);
  return { body, mark, node: el('section', { class: 'duel-card' }, title, body, mark) };
};
const cards = { left: card('left'), right: card('right') };
const duelCards = el('div', { id: 'duel-cards' }, cards.left.node, cards.right.node);
const duelLine = el('p', { id: 'duel-line', role: 'status' });
const votes = Object.fromEntries(
  OUTCOMES.map((outcome) => [
    outcome,
    el(
      'button', { type: 'button', id: `vote-${outcome}`, 'aria-keyshortcuts': KEYS[outcome], onclick: () => vote(outcome) },
      words[`vote_${outcome}`], el('kbd', { 'aria-hidden': 'true' }, KEYS[outcome]),
    ),
  ]),
);
const duelBar = el('div', { id: 'duel', hidden: true }, duelLine, el('div', { id: 'votes' }, ...Object.values(votes)));
let voting = false;
let voteTimer = 0;

const vote = (outcome) => {
  if (voting || !props.value.duel?.id) return;
  voting = true;
  setText(duelLine, words.saving);
  enableVotes();
  trigger('voted', { duel: props.value.duel.id, outcome });
  voteTimer = setTimeout(voteUnheard, PATIENCE);
};

const voteUnheard = () => {
  if (!voting) return;
  clearTimeout(voteTimer);
  voting = false;
  setText(duelLine, words.no_vote_yet);
  enableVotes();
};
window.addEventListener('nightschool:unheard', voteUnheard);

const enableVotes = () => {
  for (const button of Object.values(votes)) button.disabled = voting || !props.value.duel?.id;
};

const drawDuel = () => {
  const { duel } = props.value;
  clearTimeout(voteTimer);
  voting = false;
  duelCards.hidden = duelBar.hidden = !duel;
  enableVotes();
  if (!duel) return;
  for (const side of ['left', 'right']) {
    showSide(side, duel[side]);
    cards[side].mark.hidden = !duel.stopped.includes(side);
  }
  setText(duelLine, duel.id ? words.choose : words.writing_two);
};

const showSide = (side, html) => {
  cards[side].node.classList.toggle('writing', !html);
  setHtml(cards[side].body, html);
};
