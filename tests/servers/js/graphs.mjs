// The graphs of graphs.py, for the JavaScript server: the same names, inputs and outputs.
import { Annotation, END, MessagesAnnotation, START, StateGraph, interrupt } from "@langchain/langgraph";
import { FakeListChatModel } from "@langchain/core/utils/testing";

const State = Annotation.Root({
  k: Annotation(),
  n: Annotation(),
  seconds: Annotation(),
  tick: Annotation(),
  fail: Annotation(),
  count: Annotation(),
  out: Annotation(),
  log: Annotation({ reducer: (a, b) => (a ?? []).concat(b ?? []), default: () => [] }),
});

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function first() {
  return { log: ["first"] };
}

// Takes the time that the input names, writes an event each tick, and fails when the input says so.
async function workFor(state, config) {
  const end = Date.now() + (state.seconds ?? 0) * 1000;
  let i = 0;
  while (Date.now() < end) {
    if (state.tick) config.writer?.({ i: i++ });
    await sleep(Math.min(end - Date.now(), (state.tick || state.seconds) * 1000));
    if (config.signal?.aborted) throw new Error("aborted");
  }
  if (state.fail === "value") throw new Error("boom");
  if (state.fail === "type") throw new TypeError("boom");
  return { out: ["done", state.k], log: ["work"] };
}

// Pauses the run for a human.
async function question() {
  return { out: ["answer", interrupt({ q: "who?" })], log: ["ask"] };
}

async function increase(state) {
  await sleep(((state.seconds ?? 0) * 1000) / Math.max(1, state.n ?? 1));
  return { count: (state.count ?? 0) + 1 };
}

async function last(state) {
  return { out: ["done", state.k] };
}

const onceMore = (state) => ((state.count ?? 0) < (state.n ?? 1) ? "increase" : "last");

// Writes n numbered custom events, over the time that the input names.
async function write(state, config) {
  const n = state.n ?? 100;
  for (let i = 0; i < n; i++) {
    config.writer?.({ i });
    if (i % 10 === 0) await sleep(((state.seconds ?? 0) * 10000) / n);
  }
  return { out: ["done", state.k] };
}

const Chat = Annotation.Root({ ...MessagesAnnotation.spec, text: Annotation() });

// Answers word by word, as a chat model does, with the text of the input.
async function reply(state) {
  const model = new FakeListChatModel({ responses: [state.text || "hello wide\u2028 world \u00e9"] });
  return { messages: [await model.invoke(state.messages ?? [])] };
}

export const work_graph = new StateGraph(State)
  .addNode("first", first)
  .addNode("work", workFor)
  .addEdge(START, "first")
  .addEdge("first", "work")
  .addEdge("work", END)
  .compile();

export const ask_graph = new StateGraph(State)
  .addNode("first", first)
  .addNode("ask", question)
  .addEdge(START, "first")
  .addEdge("first", "ask")
  .addEdge("ask", END)
  .compile();

export const burst_graph = new StateGraph(State).addNode("burst", write).addEdge(START, "burst").addEdge("burst", END).compile();

export const steps_graph = new StateGraph(State)
  .addNode("increase", increase)
  .addNode("last", last)
  .addEdge(START, "increase")
  .addConditionalEdges("increase", onceMore, ["increase", "last"])
  .addEdge("last", END)
  .compile();

export const chat_graph = new StateGraph(Chat).addNode("llm", reply).addEdge(START, "llm").addEdge("llm", END).compile();
