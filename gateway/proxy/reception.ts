import { SystemError, UserError } from "../../shared/errors.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { Observer } from "../observe/access-log.ts";
import { problem } from "../pages/problem.ts";
import { Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { Incoming } from "./incoming.ts";
import { rateHeaders } from "./rate-limits.ts";
import type { Told } from "./told.ts";
import type { Turns } from "./turns.ts";

/** Who hears of every answer. */
export interface Receiving {
  turns: Turns;
  observe: Observer | undefined;
  /** Told of errors that are nobody's fault but ours; never with headers or bodies. */
  onError: (error: unknown) => void;
}

/** Hands a request's answer to who asked, with what every answer has. */
export class Reception implements Told<Response | Answer> {
  readonly #to: Receiving;
  readonly #request: Incoming;
  readonly #exchange: Exchange;
  readonly #reply: (answer: Answer | Response) => void;

  constructor(
    to: Receiving,
    request: Incoming,
    exchange: Exchange,
    reply: (answer: Answer | Response) => void,
  ) {
    this.#to = to;
    this.#request = request;
    this.#exchange = exchange;
    this.#reply = reply;
  }

  done(given: Response | Answer): void {
    const exchange = this.#exchange;
    this.#endTurn();
    // A response that became a WebSocket of the runtime's has no head of ours.
    if (given instanceof Answer) {
      given.identify(exchange);
      if (exchange.allowance !== undefined) rateHeaders(given, exchange.allowance);
    } else if (given.status !== 101) {
      given.headers.set(HEADERS.requestId, exchange.requestId);
      if (exchange.allowance !== undefined) rateHeaders(given.headers, exchange.allowance);
    }
    this.#to.observe?.(exchange, this.#request, given.status);
    this.#reply(given);
  }

  failed(error: unknown): void {
    this.#endTurn();
    const request = this.#request;
    if (!(error instanceof UserError) && !(error instanceof SystemError) && !request.signal.aborted) {
      this.#to.onError(error);
    }
    void problem(request, error).then((page) => this.done(page));
  }

  #endTurn(): void {
    const exchange = this.#exchange;
    if (exchange.turn === undefined) return;
    this.#to.turns.end(exchange.turn);
    exchange.turn = undefined;
  }
}
