/** Mail texts that new auth collections start with; placeholders are filled when a mail is sent. */

const thanks = `<p>
  Thanks,<br/>
  {APP_NAME} team
</p>`;

const button = (path: string, label: string): string => `<p>
  <a class="btn" href="{APP_URL}/_/#/auth/${path}/{TOKEN}" target="_blank" rel="noopener">${label}</a>
</p>`;

const body = (...parts: readonly string[]): string => ["<p>Hello,</p>", ...parts, thanks].join("\n");

export const authTemplates = {
  verification: {
    subject: "Verify your {APP_NAME} email",
    body: body(
      "<p>Thank you for joining us at {APP_NAME}.</p>",
      "<p>Click on the button below to verify your email address.</p>",
      button("confirm-verification", "Verify"),
      "<p><i>If you didn't recently register, please ignore this email.</i></p>",
    ),
  },
  resetPassword: {
    subject: "Reset your {APP_NAME} password",
    body: body(
      "<p>Click on the button below to reset your password.</p>",
      button("confirm-password-reset", "Reset password"),
      "<p><i>If you didn't ask to reset your password, please ignore this email.</i></p>",
    ),
  },
  confirmEmailChange: {
    subject: "Confirm your {APP_NAME} new email address",
    body: body(
      "<p>Click on the button below to confirm your new email address.</p>",
      button("confirm-email-change", "Confirm new email"),
      "<p><i>If you didn't ask to change your email address, please ignore this email.</i></p>",
    ),
  },
  otp: {
    subject: "OTP for {APP_NAME}",
    body: body(
      "<p>Your one-time password is: <strong>{OTP}</strong></p>",
      "<p><i>If you didn't ask for the one-time password, you can ignore this email.</i></p>",
    ),
  },
  authAlert: {
    subject: "Login from a new location",
    body: body(
      "<p>We noticed a login to your {APP_NAME} account from a new location:</p>",
      "<p><em>{ALERT_INFO}</em></p>",
      "<p><strong>If this wasn't you, you should immediately change your {APP_NAME} account password to revoke access from all other locations.</strong></p>",
      "<p>If this was you, you may disregard this email.</p>",
    ),
  },
} as const;
