// The screens that are fetched when one of them is first shown.

export { auditScreen } from "./audit.js";
export { downloadCsv } from "./csv.js";
export { killSwitchScreen } from "./ending.js";
export { explainScreen } from "./explain.js";
export { helpScreen } from "./help.js";
export { limitsScreen } from "./subjects.js";
export { lostScreen } from "./lost.js";
export { sessionsScreen } from "./sessions.js";
export { tokenScreen } from "./token.js";
export { importScreen } from "./transfer.js";
export { usageScreen } from "./usage.js";
export { webhooksScreen } from "./webhooks.js";
