import { fieldError } from "../field-error.ts";
import { cannotBeBlank } from "../rules.ts";
import { bool, isPlainObject } from "../shape.ts";
import { flag, type FieldType } from "./field-type.ts";

export interface GeoPoint {
  lon: number;
  lat: number;
}

export const geoPointField: FieldType = {
  type: "geoPoint",
  options: { required: bool },
  column: () => `JSON DEFAULT '{"lon":0,"lat":0}' NOT NULL`,
  normalise: (_, raw) => toPoint(raw),
  fromColumn: (_, stored) => toPoint(stored),
  toColumn: (_, value) => JSON.stringify(toPoint(value)),
  validate(field, value) {
    const { lon, lat } = toPoint(value);
    if (lon === 0 && lat === 0) return flag(field, "required") ? cannotBeBlank : undefined;
    if (lat < -90 || lat > 90) {
      return fieldError("validation_invalid_latitude", "Latitude must be between -90 and 90 degrees.");
    }
    return lon < -180 || lon > 180
      ? fieldError("validation_invalid_longitude", "Longitude must be between -180 and 180 degrees.")
      : undefined;
  },
  validateOptions: () => ({}),
};

function toPoint(raw: unknown): GeoPoint {
  let value = raw;
  if (typeof raw === "string" && raw !== "") {
    try {
      value = JSON.parse(raw);
    } catch {
      value = undefined;
    }
  }
  if (!isPlainObject(value)) return { lon: 0, lat: 0 };
  return { lon: coordinate(value, "lon"), lat: coordinate(value, "lat") };
}

/** Without regard to case, as Go reads JSON. */
function coordinate(point: Readonly<Record<string, unknown>>, name: string): number {
  const key = Object.hasOwn(point, name)
    ? name
    : Object.keys(point).findLast((key) => key.toLowerCase() === name);
  const value = key === undefined ? undefined : point[key];
  return typeof value === "number" ? value : 0;
}
