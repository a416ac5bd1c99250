/** Joins OAuth2 sign-in to the features that it needs: how a sign-in ends, and who waits at realtime. */
import type { OAuth2Services, RealtimeClients } from "./features/oauth2/services.ts";
import { realtimeHub } from "./features/realtime/hub.ts";
import { IdTokens } from "./oauth2/id-token.ts";
import type { Network } from "./outbound/network.ts";
import type { SignIn } from "./pb/sign-in.ts";
import type { Tenant } from "./tenant/contract.ts";

export function oauth2Services(network: Network, signIn: SignIn): OAuth2Services {
  return { network, idTokens: new IdTokens(network), signIn, realtime: waitingClients };
}

function waitingClients(tenant: Tenant): RealtimeClients {
  const hub = tenant.slot(realtimeHub);
  return {
    find: (id) => hub.find(id),
    unsubscribe({ id }, topic) {
      const client = hub.find(id);
      if (client === undefined) return;
      const kept = client.topics.map(({ name }) => name).filter((name) => name !== topic);
      hub.subscribe(client, kept, client.auth?.record);
    },
  };
}
