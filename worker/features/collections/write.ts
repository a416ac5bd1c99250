/** How a refused change of a collection is told: field errors, a badly formatted body, or what the database says. */
import { SystemError, UserError } from "../../../shared/errors.ts";
import { ValidationFailure } from "../../model/contract.ts";
import { reasonOf } from "../../model/reason.ts";
import { InvalidInput } from "../../model/shape.ts";
import { ApiError, badRequest } from "../../pb/api-error.ts";

export const INVALID_FORMAT = "Failed to load the submitted data due to invalid formatting.";

/** @throws ApiError 400 for everything that is not the platform's own trouble */
export async function orRefuse<T>(what: string, change: () => T | Promise<T>): Promise<T> {
  try {
    return await change();
  } catch (error) {
    if (error instanceof ApiError || error instanceof SystemError || error instanceof UserError) throw error;
    if (error instanceof ValidationFailure) throw badRequest(what, error.data);
    if (error instanceof InvalidInput) {
      throw badRequest(INVALID_FORMAT);
    }
    throw badRequest(`${what} Raw error: \n${reasonOf(error)}`, {}, error);
  }
}
