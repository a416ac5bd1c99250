/** What OAuth2 sign-in needs of the rest of the application. */
import type { IdTokens } from "../../oauth2/id-token.ts";
import type { Network } from "../../outbound/network.ts";
import type { SignIn } from "../../pb/sign-in.ts";
import type { Tenant } from "../../tenant/contract.ts";

export interface OAuth2Services {
  network: Network;
  idTokens: IdTokens;
  signIn: SignIn;
  /** The realtime clients of a tenant, one of which may wait for the redirect. */
  realtime: (tenant: Tenant) => RealtimeClients;
}

export interface RealtimeClients {
  find(id: string): WaitingClient | undefined;
  /** Ends a client's subscription. */
  unsubscribe(client: WaitingClient, topic: string): void;
}

export interface WaitingClient {
  readonly id: string;
  readonly clientIp: string;
  readonly topics: readonly { readonly name: string }[];
  send(event: string, data: string): void;
}
