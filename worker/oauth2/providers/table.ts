/**
 * The providers that PocketBase knows, in its order and with its defaults: endpoints, scopes and where their answers keep what. The
 * answers are described by the providers' own documentation.
 */
import type { ProviderSpec } from "../contract.ts";
import { textAt } from "../paths.ts";
import { bitbucketEmail, giteeEmail, githubEmail, microsoftEmail } from "./emails.ts";
import { GENERIC_OIDC } from "./oidc.ts";

export const PROVIDERS: Readonly<Record<string, ProviderSpec>> = {
  apple: {
    displayName: "Apple",
    authURL: "https://appleid.apple.com/auth/authorize",
    tokenURL: "https://appleid.apple.com/auth/token",
    userInfoURL: "",
    jwksURL: "https://appleid.apple.com/auth/keys",
    issuers: ["https://appleid.apple.com"],
    scopes: ["name", "email"],
    // Apple sends the name and email scopes only to a form.
    authParams: { response_mode: "form_post" },
    user: { id: "sub", name: "name", email: "email", emailVerified: "email_verified" },
  },
  google: {
    displayName: "Google",
    authURL: "https://accounts.google.com/o/oauth2/v2/auth",
    tokenURL: "https://oauth2.googleapis.com/token",
    userInfoURL: "https://www.googleapis.com/oauth2/v3/userinfo",
    scopes: [
      "https://www.googleapis.com/auth/userinfo.profile",
      "https://www.googleapis.com/auth/userinfo.email",
    ],
    user: { id: "sub", name: "name", avatarURL: "picture", email: "email", emailVerified: "email_verified" },
  },
  microsoft: {
    displayName: "Microsoft",
    authURL: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    tokenURL: "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    userInfoURL: "https://graph.microsoft.com/v1.0/me",
    scopes: ["User.Read"],
    extraScopes: (extra) => (textAt(extra, "idTokenEmailClaim") === "" ? [] : ["openid", "email"]),
    user: { id: "id", name: "displayName", email: "mail" },
    finish: microsoftEmail,
  },
  yandex: {
    displayName: "Yandex",
    authURL: "https://oauth.yandex.com/authorize",
    tokenURL: "https://oauth.yandex.com/token",
    userInfoURL: "https://login.yandex.ru/info",
    scopes: ["login:email", "login:avatar", "login:info"],
    user: { id: "id", name: "real_name", username: "login", email: "default_email" },
    finish(user, { raw }) {
      if (textAt(raw, "is_avatar_empty") === "true") return;
      user.avatarURL = `https://avatars.yandex.net/get-yapic/${textAt(raw, "default_avatar_id")}/islands-200`;
    },
  },
  facebook: {
    displayName: "Facebook",
    authURL: "https://www.facebook.com/v3.2/dialog/oauth",
    tokenURL: "https://graph.facebook.com/v3.2/oauth/access_token",
    userInfoURL: "https://graph.facebook.com/me?fields=name,email,picture.type(large)",
    scopes: ["email"],
    user: { id: "id", name: "name", email: "email", avatarURL: "picture.data.url" },
  },
  instagram2: {
    displayName: "Instagram",
    authURL: "https://www.instagram.com/oauth/authorize",
    tokenURL: "https://api.instagram.com/oauth/access_token",
    userInfoURL:
      "https://graph.instagram.com/me?fields=id,username,account_type,user_id,name,profile_picture_url,followers_count,follows_count,media_count",
    scopes: ["instagram_business_basic"],
    user: { id: "user_id", name: "name", username: "username", avatarURL: "profile_picture_url" },
  },
  github: {
    displayName: "GitHub",
    authURL: "https://github.com/login/oauth/authorize",
    tokenURL: "https://github.com/login/oauth/access_token",
    userInfoURL: "https://api.github.com/user",
    scopes: ["read:user", "user:email"],
    user: { id: "id", name: "name", username: "login", avatarURL: "avatar_url" },
    finish: githubEmail,
  },
  gitlab: {
    displayName: "GitLab",
    authURL: "https://gitlab.com/oauth/authorize",
    tokenURL: "https://gitlab.com/oauth/token",
    userInfoURL: "https://gitlab.com/api/v4/user",
    scopes: ["read_user"],
    user: { id: "id", name: "name", username: "username", avatarURL: "avatar_url" },
    finish(user, { raw }) {
      // A self-hosted server may let an address in that nobody has confirmed.
      if (textAt(raw, "confirmed_at") !== "") user.email = textAt(raw, "email");
    },
  },
  bitbucket: {
    displayName: "Bitbucket",
    authURL: "https://bitbucket.org/site/oauth2/authorize",
    tokenURL: "https://bitbucket.org/site/oauth2/access_token",
    userInfoURL: "https://api.bitbucket.org/2.0/user",
    scopes: ["account"],
    pkce: false,
    user: {
      id: "uuid",
      name: "display_name",
      username: "username",
      avatarURL: "links.avatar.href",
      mustBe: ["account_status", "active"],
    },
    finish: bitbucketEmail,
  },
  gitee: {
    displayName: "Gitee",
    authURL: "https://gitee.com/oauth/authorize",
    tokenURL: "https://gitee.com/oauth/token",
    userInfoURL: "https://gitee.com/api/v5/user",
    scopes: ["user_info", "emails"],
    user: { id: "id", name: "name", username: "login", avatarURL: "avatar_url" },
    finish: giteeEmail,
  },
  gitea: {
    displayName: "Gitea/Forgejo",
    authURL: "https://gitea.com/login/oauth/authorize",
    tokenURL: "https://gitea.com/login/oauth/access_token",
    userInfoURL: "https://gitea.com/api/v1/user",
    scopes: ["read:user", "user:email"],
    user: { id: "id", name: "full_name", username: "login", avatarURL: "avatar_url", email: "email" },
  },
  discord: {
    displayName: "Discord",
    authURL: "https://discord.com/api/oauth2/authorize",
    tokenURL: "https://discord.com/api/oauth2/token",
    userInfoURL: "https://discord.com/api/users/@me",
    scopes: ["identify", "email"],
    user: { id: "id", name: "global_name", username: "username", email: "email", emailVerified: "verified" },
    finish(user, { raw }) {
      const avatar = textAt(raw, "avatar");
      if (avatar !== "") user.avatarURL = `https://cdn.discordapp.com/avatars/${user.id}/${avatar}.png`;
    },
  },
  twitter: {
    displayName: "X/Twitter",
    authURL: "https://x.com/i/oauth2/authorize",
    tokenURL: "https://api.x.com/2/oauth2/token",
    userInfoURL:
      "https://api.x.com/2/users/me?user.fields=id,name,username,profile_image_url,confirmed_email",
    scopes: ["users.read", "users.email", "tweet.read"],
    user: {
      id: "data.id",
      name: "data.name",
      username: "data.username",
      avatarURL: "data.profile_image_url",
      email: "data.confirmed_email",
    },
  },
  kakao: {
    displayName: "Kakao",
    authURL: "https://kauth.kakao.com/oauth/authorize",
    tokenURL: "https://kauth.kakao.com/oauth/token",
    userInfoURL: "https://kapi.kakao.com/v2/user/me",
    scopes: ["account_email", "profile_nickname", "profile_image"],
    user: {
      id: "id",
      username: "properties.nickname",
      avatarURL: "properties.profile_image",
      email: "kakao_account.email",
      emailVerified: "kakao_account.is_email_verified",
    },
    finish(user, { raw }) {
      if (textAt(raw, "kakao_account.is_email_valid") !== "true") user.email = "";
    },
  },
  vk: {
    displayName: "ВКонтакте",
    authURL: "https://oauth.vk.com/authorize",
    tokenURL: "https://oauth.vk.com/access_token",
    userInfoURL: "https://api.vk.com/method/users.get?fields=photo_max,screen_name&v=5.131",
    scopes: ["email"],
    pkce: false,
    user: {
      id: "response.0.id",
      name: ["response.0.first_name", "response.0.last_name"],
      username: "response.0.screen_name",
      avatarURL: "response.0.photo_max",
    },
    finish(user, { token }) {
      user.email = textAt(token.raw, "email");
    },
  },
  linear: {
    displayName: "Linear",
    authURL: "https://linear.app/oauth/authorize",
    tokenURL: "https://api.linear.app/oauth/token",
    userInfoURL: "https://api.linear.app/graphql",
    scopes: ["read"],
    pkce: false,
    userRequest: () => graphql("{ viewer { id displayName name email avatarUrl active } }"),
    user: {
      id: "data.viewer.id",
      name: "data.viewer.displayName",
      username: "data.viewer.name",
      email: "data.viewer.email",
      avatarURL: "data.viewer.avatarUrl",
      mustBe: ["data.viewer.active", "true"],
    },
  },
  notion: {
    displayName: "Notion",
    authURL: "https://api.notion.com/v1/oauth/authorize",
    tokenURL: "https://api.notion.com/v1/oauth/token",
    userInfoURL: "https://api.notion.com/v1/users/me",
    scopes: [],
    userRequest: () => ({ headers: { "notion-version": "2022-06-28" } }),
    user: {
      id: "bot.owner.user.id",
      name: "bot.owner.user.name",
      avatarURL: "bot.owner.user.avatar_url",
      email: "bot.owner.user.person.email",
    },
  },
  monday: {
    displayName: "monday.com",
    authURL: "https://auth.monday.com/oauth2/authorize",
    tokenURL: "https://auth.monday.com/oauth2/token",
    userInfoURL: "https://api.monday.com/v2",
    scopes: ["me:read"],
    userRequest: () => graphql("{ me { id enabled name email is_verified photo_small } }"),
    user: {
      id: "data.me.id",
      name: "data.me.name",
      email: "data.me.email",
      emailVerified: "data.me.is_verified",
      avatarURL: "data.me.photo_small",
      mustBe: ["data.me.enabled", "true"],
    },
  },
  lark: {
    displayName: "Lark",
    authURL: "https://accounts.feishu.cn/open-apis/authen/v1/authorize",
    tokenURL: "https://open.feishu.cn/open-apis/authen/v2/oauth/token",
    userInfoURL: "https://open.feishu.cn/open-apis/authen/v1/user_info",
    scopes: [],
    user: { id: "data.union_id", name: "data.name", avatarURL: "data.avatar_url" },
  },
  box: {
    displayName: "Box",
    authURL: "https://account.box.com/api/oauth2/authorize",
    tokenURL: "https://api.box.com/oauth2/token",
    userInfoURL: "https://api.box.com/2.0/users/me",
    scopes: ["root_readonly"],
    user: {
      id: "id",
      name: "name",
      email: "login",
      avatarURL: "avatar_url",
      mustBe: ["status", "active"],
    },
  },
  spotify: {
    displayName: "Spotify",
    authURL: "https://accounts.spotify.com/authorize",
    tokenURL: "https://accounts.spotify.com/api/token",
    userInfoURL: "https://api.spotify.com/v1/me",
    // Spotify does not verify the addresses that it tells: none is taken.
    scopes: ["user-read-private"],
    user: { id: "id", name: "display_name", avatarURL: "images.0.url" },
  },
  trakt: {
    displayName: "Trakt",
    authURL: "https://trakt.tv/oauth/authorize",
    tokenURL: "https://api.trakt.tv/oauth/token",
    userInfoURL: "https://api.trakt.tv/users/settings",
    scopes: [],
    userRequest: ({ clientId }) => ({ headers: { "trakt-api-key": clientId, "trakt-api-version": "2" } }),
    user: {
      id: "user.ids.uuid",
      name: "user.name",
      username: "user.username",
      avatarURL: "user.images.avatar.full",
    },
  },
  twitch: {
    displayName: "Twitch",
    authURL: "https://id.twitch.tv/oauth2/authorize",
    tokenURL: "https://id.twitch.tv/oauth2/token",
    userInfoURL: "https://api.twitch.tv/helix/users",
    scopes: ["user:read:email"],
    userRequest: ({ clientId }) => ({ headers: { "client-id": clientId } }),
    user: {
      id: "data.0.id",
      name: "data.0.display_name",
      username: "data.0.login",
      email: "data.0.email",
      avatarURL: "data.0.profile_image_url",
    },
  },
  patreon: {
    displayName: "Patreon",
    authURL: "https://www.patreon.com/oauth2/authorize",
    tokenURL: "https://www.patreon.com/api/oauth2/token",
    userInfoURL:
      "https://www.patreon.com/api/oauth2/v2/identity?fields%5Buser%5D=full_name,email,vanity,image_url,is_email_verified",
    scopes: ["identity", "identity[email]"],
    user: {
      id: "data.id",
      name: "data.attributes.full_name",
      username: "data.attributes.vanity",
      avatarURL: "data.attributes.image_url",
      email: "data.attributes.email",
      emailVerified: "data.attributes.is_email_verified",
    },
  },
  strava: {
    displayName: "Strava",
    authURL: "https://www.strava.com/oauth/authorize",
    tokenURL: "https://www.strava.com/oauth/token",
    userInfoURL: "https://www.strava.com/api/v3/athlete",
    scopes: ["profile:read_all"],
    user: { id: "id", name: ["firstname", "lastname"], username: "username", avatarURL: "profile" },
    finish(user) {
      // An athlete without an account of its own has the id 0.
      if (user.id === "0") user.id = "";
    },
  },
  wakatime: {
    displayName: "WakaTime",
    authURL: "https://wakatime.com/oauth/authorize",
    tokenURL: "https://wakatime.com/oauth/token",
    userInfoURL: "https://wakatime.com/api/v1/users/current",
    scopes: ["email"],
    user: {
      id: "data.id",
      name: "data.display_name",
      username: "data.username",
      email: "data.email",
      emailVerified: "data.is_email_confirmed",
    },
    finish(user, { raw }) {
      if (textAt(raw, "data.is_photo_public") === "true") user.avatarURL = textAt(raw, "data.photo");
    },
  },
  livechat: {
    displayName: "LiveChat",
    authURL: "https://accounts.livechat.com/",
    tokenURL: "https://accounts.livechat.com/token",
    userInfoURL: "https://accounts.livechat.com/v2/accounts/me",
    scopes: [],
    user: {
      id: "account_id",
      name: "name",
      avatarURL: "avatar_url",
      email: "email",
      emailVerified: "email_verified",
    },
  },
  mailcow: {
    displayName: "mailcow",
    // Every installation has its own addresses.
    authURL: "",
    tokenURL: "",
    userInfoURL: "",
    scopes: ["profile"],
    user: {
      id: "id",
      name: "full_name",
      username: "username",
      email: "email",
      mustBe: ["active", "1"],
    },
    finish(user) {
      // Most names are the address itself.
      user.username = user.username.replace(/@.*$/, "");
    },
  },
  planningcenter: {
    displayName: "Planning Center",
    authURL: "https://api.planningcenteronline.com/oauth/authorize",
    tokenURL: "https://api.planningcenteronline.com/oauth/token",
    userInfoURL: "https://api.planningcenteronline.com/people/v2/me",
    scopes: ["people"],
    user: {
      id: "data.id",
      name: "data.attributes.name",
      avatarURL: "data.attributes.avatar",
      mustBe: ["data.attributes.status", "active"],
    },
  },
  oidc: GENERIC_OIDC,
  oidc2: GENERIC_OIDC,
  oidc3: GENERIC_OIDC,
};

function graphql(query: string) {
  return {
    method: "POST" as const,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query }),
  };
}
