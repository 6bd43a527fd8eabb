// Both pages of the board. What comes from the room is only ever set as text, never as markup.
"use strict";

const isTeacher = document.body.dataset.page === "teacher";
const here = location.pathname.replace(/\/$/, "");
const page = document.getElementById("page");
const away = document.getElementById("away");

// el("p", {class: "big"}, "text", other) makes an element; what is null or false is left out.
function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== false && child !== undefined) node.append(child);
  }
  return node;
}

// Makes `old` look like `made` and keeps its nodes, so that a click or the focus isn't lost when
// something else changes in the same moment.
function morph(old, made) {
  if (old.nodeType !== made.nodeType || old.nodeName !== made.nodeName || old.id !== made.id) {
    old.replaceWith(made);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== made.data) old.data = made.data;
    return;
  }
  for (const {name} of [...old.attributes]) {
    if (!made.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const {name, value} of made.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const [before, after] = [[...old.childNodes], [...made.childNodes]];
  after.forEach((child, n) => before[n] ? morph(before[n], child) : old.append(child));
  before.slice(after.length).forEach(child => child.remove());
}

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

function minutes(seconds) {
  if (seconds < 60) return "under 1 min";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}

// --- A question: a table whose cells are the bars

function bar(round, votes, all, isAnswer) {
  if (votes === undefined) return el("td", {class: `bar ${round}`});
  const percent = all ? Math.round(100 * votes / all) : 0;
  const gauge = el("progress", {max: Math.max(all, 1), value: votes, "aria-hidden": "true"});
  return el("td", {class: `bar ${round}${isAnswer ? " answer" : ""}`},
    el("span", {class: "gauge"}, gauge),
    el("span", {class: "number"}, el("b", {}, String(votes)), el("small", {}, ` ${percent} %`)));
}

function histogram(question, stage) {
  const second = question.again > 0 && stage !== "voting";
  const rows = question.choices.map((choice, number) => {
    const isAnswer = question.answer === number;
    const others = isTeacher && choice.measured > 0 && !isAnswer;
    return el("tr", {class: isAnswer ? "answer" : null},
      el("th", {scope: "row"}, choice.text,
        isAnswer && el("span", {class: "mark"}, "✓ measured"),
        others && el("span", {class: "other"}, `measured by ${choice.measured}`)),
      stage !== "voting" && bar("first", choice.first, question.voted, isAnswer),
      second && bar("second", choice.second, question.again, isAnswer));
  });
  const head = el("thead", {}, el("tr", {},
    el("th", {scope: "col"}, el("span", {class: "hidden"}, "Choice")),
    stage !== "voting" && el("th", {scope: "col"}, second ? "First vote" : "Votes",
      el("small", {}, ` ${question.voted}`)),
    second && el("th", {scope: "col"}, "Second vote", el("small", {}, ` ${question.again}`))));
  return el("table", {class: `histogram ${stage}${second ? " two" : ""}`},
    el("caption", {class: "hidden"}, `What the room predicts: ${question.text}`),
    stage !== "voting" && head, el("tbody", {}, rows));
}

// --- The wall

function wall(view) {
  const question = view.question;
  if (view.ended) return [el("h1", {}, "The session has ended."), el("p", {}, "Thank you.")];
  const people = el("p", {class: "here"}, count(view.here, "person", "people"), " here");
  if (!question) {
    return [el("h1", {}, "Join the board"), el("p", {}, "In your notebook, run:"),
      el("pre", {class: "join"}, `lab.join("${view.join}",\n         name="…")`),
      el("p", {}, "Choose any name. ", el("code", {}, "lab.shared()"),
        " shows what's shared, and ", el("code", {}, "lab.leave()"), " ends it."),
      people];
  }
  const voted = el("p", {class: "here"},
    el("b", {}, String(question.voted)), ` of ${Math.max(view.here, question.voted)} have voted`,
    question.again > 0 && el("span", {}, `, ${question.again} voted again`));
  return [el("p", {class: "lab"}, question.lab), el("h1", {}, question.text),
    histogram(question, view.stage), voted];
}

// --- The teacher's page

const STAGES = [["voting", "Choices"], ["votes", "Votes"], ["measured", "Measured"]];

function post(what, body) {
  return fetch(`${here}/${what}`, {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
  }).catch(() => { away.hidden = false; });
}

function onTheWall(question, view) {
  const isShown = view.wall.question === question.id;
  const buttons = STAGES.map(([stage, label]) => el("button", {
    type: "button", id: `${question.id}-${stage}`, "data-question": question.id,
    "data-stage": stage, "aria-pressed": String(isShown && view.wall.stage === stage),
    disabled: stage === "measured" && question.answer === null,
  }, label));
  return el("div", {class: "stages", role: "group", "aria-label": "Show on the wall"},
    el("span", {}, isShown ? "On the wall:" : "Show on the wall:"), buttons,
    isShown && el("button", {type: "button", class: "plain", "data-question": "",
      "data-stage": "voting", id: `${question.id}-off`}, "Take off"));
}

function questions(view) {
  if (!view.questions.length) return el("p", {class: "none"}, "Nobody has predicted anything yet.");
  return view.questions.map(question => el("article", {
      class: view.wall.question === question.id ? "shown" : null, id: `q-${question.id}`},
    el("h3", {}, question.text), el("p", {class: "lab"}, question.lab, " · ",
      `${question.voted} voted`, question.again > 0 && `, ${question.again} again`),
    histogram(question, "measured"), onTheWall(question, view)));
}

// What most have seen is first: it's worth a word to the whole room.
function alike(others) {
  const groups = new Map();
  for (const {name, saw} of others) groups.set(saw, [...(groups.get(saw) || []), name]);
  return [...groups].sort((a, b) => b[1].length - a[1].length);
}

function exercises(view) {
  if (!view.exercises.length) return el("p", {class: "none"}, "Nobody has checked one yet.");
  return view.exercises.map(each => {
    const tried = each.passed.length + each.others.length;
    return el("article", {},
      el("h3", {}, `${each.lab}, exercise ${each.key}`,
        el("span", {class: "of"}, ` ${each.passed.length} of ${tried} passed`)),
      each.others.length > 0 && el("dl", {}, alike(each.others).map(([saw, names]) =>
        [el("dt", {}, count(names.length, "person saw", "people saw")),
          el("dd", {}, saw, el("span", {class: "lab"}, ` ${names.join(", ")}`))])),
      each.passed.length > 0 && el("p", {class: "passed"}, "✓ ", each.passed.join(", ")));
  });
}

function person(each) {
  const gone = each.state === "here" ? null
    : `${each.state === "left" ? "left" : "no word for"} ${minutes(each.away_seconds)}`
      + (each.state === "left" ? " ago" : "");
  const section = each.title ? [el("span", {class: "lab"}, `${each.lab} · `
    + (each.number ? `${each.number} of ${each.of}` : "start")), ` ${each.title}`] : "–";
  return el("tr", {class: `${each.state}${each.long ? " long" : ""}`},
    el("th", {scope: "row"}, each.name),
    el("td", {}, section),
    el("td", {class: "time"}, gone || (each.title ? minutes(each.seconds) : ""),
      each.long && el("span", {class: "mark"}, "long")));
}

function people(view) {
  if (!view.people.length) return el("p", {class: "none"}, "Nobody has joined yet.");
  // Who has been on one section for longest is first; who isn't here is last.
  // Whole minutes, or rows would change places all the time.
  const rank = each => [["here", "gone", "left"].indexOf(each.state), -Math.floor(each.seconds / 60)];
  const sorted = [...view.people].sort((a, b) =>
    rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1] || a.name.localeCompare(b.name));
  return el("table", {class: "people"},
    el("thead", {}, el("tr", {}, ["Name", "Section", "There for"].map(name =>
      el("th", {scope: "col"}, name)))),
    el("tbody", {}, sorted.map(person)));
}

function teacher(view) {
  if (view.ended) {
    return [el("h1", {}, "The session has ended."),
      el("p", {}, "What it collected is deleted. You can close this page.")];
  }
  const {here: now, gone, left} = view.count;
  const long = view.people.filter(each => each.long);
  const silent = view.people.filter(each => !each.answers).map(each => each.name);
  const notices = [...view.notices,
    ...(silent.length ? [`${silent.join(", ")}: the cluster doesn't answer.`] : []),
    ...(long.length ? [`${long.map(each => each.name).join(", ")}: on one section for 10 minutes`
      + " or more."] : []),
    ...(gone ? [`No word from ${view.people.filter(each => each.state === "gone")
      .map(each => each.name).join(", ")}.`] : [])];
  return [
    el("header", {},
      el("h1", {}, "Board"),
      el("p", {class: "count"}, el("b", {}, String(now)), " here",
        gone > 0 && ` · ${gone} silent`, left > 0 && ` · ${left} left`),
      el("p", {class: "links"}, "Wall for the projector: ",
        el("a", {href: new URL(view.join).pathname, target: "_blank", rel: "noopener"}, view.join)),
      el("button", {type: "button", class: "plain", id: "end"}, "End the session")),
    el("ul", {class: "notices", role: "status"}, notices.map(each => el("li", {}, each))),
    el("div", {class: "columns"},
      el("section", {"aria-labelledby": "h-questions"},
        el("h2", {id: "h-questions"}, "Predictions"), questions(view)),
      el("section", {"aria-labelledby": "h-people"},
        el("h2", {id: "h-people"}, "People"), people(view),
        el("h2", {id: "h-exercises"}, "Exercises"), exercises(view))),
  ];
}

document.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.id === "end") {
    if (confirm("End the session? What the board has collected is deleted.")) post("end", {});
  } else {
    post("wall", {question: button.dataset.question, stage: button.dataset.stage});
  }
});

// --- The connection

let pause = 500;

function connect() {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${here}/live`);
  socket.addEventListener("message", ({data}) => {
    pause = 500;
    away.hidden = true;
    const view = JSON.parse(data);
    const made = page.cloneNode(false);
    made.append(...(isTeacher ? teacher(view) : wall(view)));
    morph(page, made);
  });
  socket.addEventListener("close", () => {
    away.hidden = false;
    setTimeout(connect, pause * (0.5 + Math.random() / 2));
    pause = Math.min(2 * pause, 10000);
  });
}

connect();
