import { z } from "zod";
import { limits } from "../../../shared/limits.ts";
import { HEADERS } from "../../../shared/protocol/headers.ts";
import { VERSION } from "../../../shared/version.ts";
import type { Operation } from "./operation.ts";

type Json = Record<string, unknown>;

const errorSchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string().optional(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
});

/** The OpenAPI 3.1 document of the operators' API, from the same records that are mounted. */
export function openApiDocument(operations: readonly Operation[]): Json {
  const paths: Record<string, Json> = {};
  for (const one of operations) {
    const path = `/api/cp${one.spec.path.replaceAll(/:(\w+)/g, "{$1}")}`;
    paths[path] = { ...paths[path], [one.spec.method.toLowerCase()]: describe(one) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Manybase operators' API",
      version: VERSION,
      description: "Tenants, workers, operator tokens and the audit log of one platform.",
    },
    servers: [{ url: "/" }],
    security: [{ operatorToken: [] }],
    paths,
    components: {
      securitySchemes: { operatorToken: { type: "http", scheme: "bearer", bearerFormat: "mbo_…" } },
      schemas: { Error: jsonSchema(errorSchema) },
    },
  };
}

function describe({ spec }: Operation): Json {
  const { method, path, summary, scope, body, query, answer, status = 200, idempotent } = spec;
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? "");
  const parameters: Json[] = names.map((name) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  if (query !== undefined) {
    const { properties = {}, required = [] } = jsonSchema(query) as {
      properties?: Json;
      required?: string[];
    };
    for (const [name, schema] of Object.entries(properties)) {
      parameters.push({ name, in: "query", required: required.includes(name), schema });
    }
  }
  if (idempotent === true) {
    const schema = { type: "string", maxLength: limits.idempotencyKeyCharactersMax };
    parameters.push({ name: HEADERS.idempotencyKey, in: "header", required: false, schema });
  }
  const parts = path.split("/").filter((part) => part !== "" && !part.startsWith(":"));
  return {
    operationId: [method.toLowerCase(), ...parts, ...names.map((name) => `by-${name}`)].join("-"),
    tags: parts.slice(0, 1),
    summary,
    description: `Needs a token with the scope \`${scope}\`.`,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: jsonSchema(body) } } } }),
    responses: {
      [status]: { description: "Done.", content: { "application/json": { schema: jsonSchema(answer) } } },
      default: {
        description: "It was not done; `error.code` and `error.details.fields` say why.",
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    },
  };
}

function jsonSchema(schema: z.ZodType): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}
