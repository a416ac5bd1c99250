import type { Field } from "../../../shared/schema/collection.ts";
import type { FieldError, UploadedFile } from "../contract.ts";
import { fieldError } from "../field-error.ts";
import { atLeast, atMost, cannotBeBlank, check, each, matches, noneOf, SAFE_INTEGER_MAX } from "../rules.ts";
import { bool, integer, textsOrNull } from "../shape.ts";
import { toTexts } from "./cast.ts";
import { flag, int, optionTexts, type FieldType } from "./field-type.ts";
import { multiValue } from "./multi-value.ts";

const SIZE_MAX_DEFAULT = 5 * 1024 * 1024;
const THUMB_SIZE = /^(\d+)x(\d+)(t|b|f)?$/;
const EMPTY_THUMBS = ["0x0", "0x0t", "0x0b", "0x0f"];

/** Values are stored names; bytes of new ones are in PendingRecord.uploads. */
export const fileField: FieldType = {
  ...multiValue,
  type: "file",
  options: {
    maxSelect: integer,
    maxSize: integer,
    mimeTypes: textsOrNull,
    protected: bool,
    required: bool,
    thumbs: textsOrNull,
  },
  validate(field, value, { before, uploads }) {
    const names = toTexts(value);
    if (names.length === 0) return flag(field, "required") ? cannotBeBlank : undefined;
    const stored = new Set(toTexts(before));
    const invalidFiles = names.filter((name) => !stored.has(name) && uploads.get(name)?.field !== field.name);
    if (invalidFiles.length > 0) {
      return fieldError("validation_invalid_file", "Invalid new files: {{.invalidFiles}}.", {
        invalidFiles: invalidFiles.map((name) => name.slice(0, 250)),
      });
    }
    const maxSelect = Math.max(int(field, "maxSelect"), 1);
    if (names.length > maxSelect) {
      return fieldError("validation_too_many_files", "The maximum allowed files is {{.maxSelect}}.", {
        maxSelect,
      });
    }
    for (const name of names) {
      const upload = uploads.get(name);
      const error = upload === undefined ? undefined : uploadError(field, name, upload.file);
      if (error !== undefined) return error;
    }
    return undefined;
  },
  validateOptions: (field) => ({
    maxSelect: check(field["maxSelect"], atLeast(0), atMost(SAFE_INTEGER_MAX)),
    maxSize: check(field["maxSize"], atLeast(0), atMost(SAFE_INTEGER_MAX)),
    thumbs: check(field["thumbs"], each(noneOf(EMPTY_THUMBS), matches(THUMB_SIZE))),
  }),
};

function uploadError(field: Field, name: string, file: UploadedFile): FieldError | undefined {
  const maxSize = int(field, "maxSize") > 0 ? int(field, "maxSize") : SIZE_MAX_DEFAULT;
  if (file.size > maxSize) {
    return fieldError(
      "validation_file_size_limit",
      "Failed to upload {{.file}} - the maximum allowed file size is {{.maxSize}} bytes.",
      { file: file.name, maxSize },
    );
  }
  const allowed = optionTexts(field, "mimeTypes");
  const mime = file.mime.split(";")[0]?.trim().toLowerCase() ?? "";
  if (allowed.length === 0 || allowed.some((type) => sameMime(type, mime))) return undefined;
  return fieldError(
    "validation_invalid_mime_type",
    `${JSON.stringify(name)} mime type must be one of: ${allowed.join(", ")}.`,
  );
}

const ALIASES: Readonly<Record<string, string>> = { "image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg" };

function sameMime(allowed: string, found: string): boolean {
  const plain = allowed.split(";")[0]?.trim().toLowerCase() ?? "";
  return (ALIASES[plain] ?? plain) === (ALIASES[found] ?? found);
}
