// The viewer of the API document: follows the theme of the pages and sends a CSRF token with requests that are tried out.
"use strict";

(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { if (!root.dataset.theme) root.classList.toggle("dark-mode", dark.matches); };
  follow();
  dark.addEventListener("change", follow);

  const csrf = async () => (await (await fetch("/api/v1/auth/csrf-token")).json()).data?.csrf_token;

  async function withToken(request) {
    const reads = ["GET", "HEAD"].includes((request.method || "GET").toUpperCase());
    if (!reads && !request.headers.Authorization && !request.headers["X-CSRFToken"]) {
      const token = await csrf();
      if (token) request.headers["X-CSRFToken"] = token;
    }
    return request;
  }

  window.SwaggerUIBundle({
    url: "/api/v1/openapi.json",
    domNode: document.getElementById("docs"),
    requestInterceptor: withToken,
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    filter: true,
    persistAuthorization: false,
    validatorUrl: null,
    onComplete: () => document.getElementById("servers")?.setAttribute("aria-label", "Server"),
  });
})();
