// The API in words, made of the description that the server gives programs.

import { byId, el } from "./dom.js";

const CURL = {
  "/v1/predictions": "curl -F files=@one.png -F files=@two.dcm",
  "/v1/explanations": "curl -F files=@one.png",
  "/v1/neighbours": "curl -F files=@one.png",
};

start();

async function start() {
  const described = await (await fetch("/openapi.json")).json();
  const parts = described.info.description.split("\n\n").map((text) => el("p", {}, ...said(text)));
  for (const [path, methods] of Object.entries(described.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      parts.push(operationOf(path, method, operation));
    }
  }
  const schemas = Object.entries(described.components.schemas).map(schemaOf);
  parts.push(el("h2", {}, "What the answers hold"), ...schemas);
  byId("docs").replaceChildren(...parts);
  document.body.dataset.ready = "true";
  byId(location.hash.slice(1))?.scrollIntoView();
}

/** Words in which code stands between backticks. */
const said = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

function operationOf(path, method, operation) {
  const { summary, description, parameters = [], requestBody, responses } = operation;
  const address = `'${location.origin}${path}'`;
  return el("section", {},
    el("h2", {}, el("code", {}, `${method.toUpperCase()} ${path}`), ` ${summary}`),
    description && el("p", {}, ...said(description)),
    el("pre", { tabIndex: 0 }, el("code", {}, `${CURL[path] ?? "curl"} ${address}`)),
    parameters.length > 0 && tableOf(["In the query", "Is", ""], parameters.map((p) =>
      [p.name, typeOf(p.schema), said(p.description ?? "")])),
    requestBody && tableOf(["Body", "Is"], Object.entries(requestBody.content)
      .map(([kind, { schema }]) => [kind, fieldsOf(schema)])),
    tableOf(["Answer", "Is", ""], Object.entries(responses).map(([status, response]) =>
      [status, bodyOf(response), said(response.description)])));
}

const bodyOf = ({ content = {} }) => typeOf(Object.values(content)[0]?.schema ?? {});

const fieldsOf = (schema) => Object.entries(schema.properties)
  .flatMap(([name, found]) => [`${name}: `, typeOf(found)]);

function schemaOf([name, { description, properties = {} }]) {
  return el("section", { id: name }, el("h3", {}, name), description && el("p", {}, ...said(description)),
    tableOf(["Key", "Is", ""], Object.entries(properties).map(([key, found]) =>
      [key, typeOf(found), said(found.description ?? "")])));
}

/** A schema in words; one that has a name links to it. */
function typeOf(schema) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1);
    return el("a", { href: `#${name}` }, name);
  }
  const [either, { items, properties }] = [schema.anyOf ?? schema.allOf, schema];
  if (either) return el("span", {}, ...either.flatMap((one, i) => [i ? " or " : "", typeOf(one)]));
  if (schema.enum) return schema.enum.join(" or ");
  if (items) return el("span", {}, "list of ", typeOf(items));
  if (properties) return el("span", {}, "object with ", Object.keys(properties).join(", "));
  return [schema.type, schema.contentEncoding ?? schema.format].filter(Boolean).join(", ");
}

function tableOf(names, rows) {
  return el("table", {},
    el("thead", {}, el("tr", {}, ...names.map((name) => el(name ? "th" : "td", {}, name)))),
    el("tbody", {}, ...rows.map(([first, ...rest]) => el("tr", {},
      el("th", { scope: "row" }, el("code", {}, first)),
      ...rest.map((cell) => el("td", {}, ...[cell ?? ""].flat()))))));
}
