import type { Field, FieldType as TypeName } from "../../../shared/schema/collection.ts";
import { autodateField } from "./autodate.ts";
import { boolField } from "./bool.ts";
import { dateField } from "./date.ts";
import { editorField } from "./editor.ts";
import { emailField } from "./email.ts";
import type { FieldType } from "./field-type.ts";
import { fileField } from "./file.ts";
import { geoPointField } from "./geo-point.ts";
import { jsonField } from "./json.ts";
import { numberField } from "./number.ts";
import { passwordField } from "./password.ts";
import { relationField } from "./relation.ts";
import { selectField } from "./select.ts";
import { textField } from "./text.ts";
import { urlField } from "./url.ts";

export const FIELD_TYPES: Readonly<Record<TypeName, FieldType>> = {
  text: textField,
  number: numberField,
  bool: boolField,
  email: emailField,
  url: urlField,
  editor: editorField,
  date: dateField,
  autodate: autodateField,
  select: selectField,
  file: fileField,
  relation: relationField,
  json: jsonField,
  password: passwordField,
  geoPoint: geoPointField,
};

export function isFieldType(type: unknown): type is TypeName {
  return typeof type === "string" && Object.hasOwn(FIELD_TYPES, type);
}

export const typeOf = (field: Field): FieldType => FIELD_TYPES[field.type];
