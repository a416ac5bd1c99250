/** The collections of a new tenant: PocketBase's five system ones and `users`. */
import type { Collection } from "../../shared/schema/collection.ts";
import type { AuthOptions } from "./collections/auth-options.ts";
import { newCollection } from "./collections/defaults.ts";
import { nowText } from "./fields/date-text.ts";
import { addField, readField } from "./fields/options.ts";

const OWN_REFERENCES =
  "@request.auth.id != '' && recordRef = @request.auth.id && collectionRef = @request.auth.collectionId";
const OWN_RECORD = "id = @request.auth.id";

type FieldInput = Readonly<Record<string, unknown>>;

const requiredText = (name: string): FieldInput => ({ type: "text", name, system: true, required: true });
const REFERENCE_FIELDS = [requiredText("collectionRef"), requiredText("recordRef")];

const dates = (system: boolean): FieldInput[] => [
  { type: "autodate", name: "created", system, onCreate: true },
  { type: "autodate", name: "updated", system, onCreate: true, onUpdate: true },
];

export function otpSentToField(): FieldInput {
  return { type: "text", name: "sentTo", system: true, hidden: true };
}

/** In the order in which PocketBase creates them; times differ by a millisecond so that the order stays. */
export function systemCollections(): Collection[] {
  const collections = [mfas(), otps(), externalAuths(), authOrigins(), superusers(), users()];
  const start = Date.parse(nowText());
  for (const [index, collection] of collections.entries()) {
    collection.created = new Date(start + index).toISOString().replace("T", " ");
    collection.updated = collection.created;
  }
  return collections;
}

function references(name: string, fields: readonly FieldInput[], indexes: readonly string[]): Collection {
  const collection = newCollection("base", name);
  collection.system = true;
  collection.listRule = OWN_REFERENCES;
  collection.viewRule = OWN_REFERENCES;
  for (const field of [...REFERENCE_FIELDS, ...fields, ...dates(true)])
    addField(collection.fields, readField(field));
  collection.indexes.push(...indexes);
  return collection;
}

function mfas(): Collection {
  return references(
    "_mfas",
    [requiredText("method")],
    ["CREATE INDEX `idx_mfas_collectionRef_recordRef` ON `_mfas` (collectionRef,recordRef)"],
  );
}

function otps(): Collection {
  return references(
    "_otps",
    [
      { type: "password", name: "password", system: true, hidden: true, required: true, cost: 8 },
      otpSentToField(),
    ],
    ["CREATE INDEX `idx_otps_collectionRef_recordRef` ON `_otps` (collectionRef, recordRef)"],
  );
}

function externalAuths(): Collection {
  const collection = references(
    "_externalAuths",
    [requiredText("provider"), requiredText("providerId")],
    [
      "CREATE UNIQUE INDEX `idx_externalAuths_record_provider` ON `_externalAuths` (collectionRef, recordRef, provider)",
      "CREATE UNIQUE INDEX `idx_externalAuths_collection_provider` ON `_externalAuths` (collectionRef, provider, providerId)",
    ],
  );
  collection.deleteRule = OWN_REFERENCES;
  return collection;
}

function authOrigins(): Collection {
  const collection = references(
    "_authOrigins",
    [requiredText("fingerprint")],
    [
      "CREATE UNIQUE INDEX `idx_authOrigins_unique_pairs` ON `_authOrigins` (collectionRef, recordRef, fingerprint)",
    ],
  );
  collection.deleteRule = OWN_REFERENCES;
  return collection;
}

function superusers(): Collection {
  const collection = newCollection("auth", "_superusers");
  collection.system = true;
  for (const field of dates(true)) addField(collection.fields, readField(field));
  (collection.options as AuthOptions).authToken.duration = 86_400;
  return collection;
}

function users(): Collection {
  const collection = newCollection("auth", "users", "_pb_users_auth_");
  collection.listRule = OWN_RECORD;
  collection.viewRule = OWN_RECORD;
  collection.createRule = "";
  collection.updateRule = OWN_RECORD;
  collection.deleteRule = OWN_RECORD;
  const avatarTypes = ["image/jpeg", "image/png", "image/svg+xml", "image/gif", "image/webp"];
  const fields: FieldInput[] = [
    { type: "text", name: "name", max: 255 },
    { type: "file", name: "avatar", maxSelect: 1, mimeTypes: avatarTypes },
    ...dates(false),
  ];
  for (const field of fields) addField(collection.fields, readField(field));
  const { mappedFields } = (collection.options as AuthOptions).oauth2;
  mappedFields.name = "name";
  mappedFields.avatarURL = "avatar";
  return collection;
}
