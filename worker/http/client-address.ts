/**
 * Who the gateway says has asked. A listener for both families names IPv4 clients by IPv6 addresses: settings, logs and known origins
 * of tenants have them by their own.
 */
export function clientAddress(forwarded: string | null): string {
  return (forwarded ?? "").replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}
