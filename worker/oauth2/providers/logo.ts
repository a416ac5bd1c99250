import drawn from "./logos.json" with { type: "json" };

const logos: Readonly<Record<string, string>> = drawn.logos;

/** SVG text. */
export function logoOf(provider: string): string {
  return logos[provider] ?? "";
}
