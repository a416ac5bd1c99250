/** What the record and collection code asks of a field type; one implementation a file, found in registry.ts. */
import type { Collection, Field, FieldType as TypeName, Schema } from "../../../shared/schema/collection.ts";
import type { SqlReader, SqlValue } from "../../sqlite/contract.ts";
import type { ErrorData, FieldError, UploadedFile } from "../contract.ts";
import type { Shape } from "../shape.ts";

/** What a value is checked against, beside its field. */
export interface ValueContext {
  readonly collection: Collection;
  readonly schema: Schema;
  readonly isNew: boolean;
  readonly id: string;
  /** The stored value of the same field; undefined for a new record. */
  readonly before: unknown;
  readonly uploads: ReadonlyMap<string, { field: string; file: UploadedFile }>;
  /** The plain password given for this field, if any. */
  readonly password: string | undefined;
  /** Absent when only what needs no database is checked. */
  readonly db: SqlReader | undefined;
}

/** What a field's options are checked against. */
export interface OptionsContext {
  readonly collection: Collection;
  /** The stored collection; undefined for a new one. */
  readonly before: Collection | undefined;
  readonly schema: Schema;
}

export type OptionErrors = Record<string, FieldError | ErrorData | undefined>;

export type Setter = "+f" | "f+" | "f-" | "f:autogenerate";

export interface FieldType {
  readonly type: TypeName;
  /** Options beside the common ones (id, name, system, hidden, presentable, help). */
  readonly options: Readonly<Record<string, Shape>>;
  /** The column's SQL definition, without its name. */
  column(field: Field): string;
  /** Any input as the canonical value; never throws. `null` and undefined give the zero value. */
  normalise(field: Field, raw: unknown): unknown;
  /** A stored column as the canonical value; tolerant of what other versions stored. */
  fromColumn(field: Field, stored: unknown): unknown;
  toColumn(field: Field, value: unknown): SqlValue;
  /** Input keys with a modifier: the new canonical value from the current one and the input. */
  readonly setters?: Readonly<
    Partial<Record<Setter, (field: Field, current: unknown, raw: unknown) => unknown>>
  >;
  validate(field: Field, value: unknown, context: ValueContext): FieldError | ErrorData | undefined;
  /** Errors of the options by name; id and name are checked for all types alike (options.ts). */
  validateOptions(field: Field, context: OptionsContext): OptionErrors;
}

export const flag = (field: Field, option: string): boolean => field[option] === true;
export const int = (field: Field, option: string): number => Number(field[option] ?? 0);
export const optionText = (field: Field, option: string): string => {
  const value = field[option];
  return typeof value === "string" ? value : "";
};
export const optionTexts = (field: Field, option: string): readonly string[] => {
  const value = field[option];
  return Array.isArray(value) ? (value as string[]) : [];
};
