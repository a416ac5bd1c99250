import { z } from "zod";

export const MEMBER_ID = /^[a-z0-9][a-z0-9-]{0,31}$/;

export const memberUrlSchema = z.url({ protocol: /^https?$/ });

export const memberViewSchema = z.object({
  id: z.string(),
  url: z.string(),
  role: z.enum(["leader", "follower", "learner"]),
});
