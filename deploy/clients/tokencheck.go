// Package tokencheck asks the token service about every request of a net/http server.
//
//	http.Handle("/orders/", tokencheck.New("http://127.0.0.1:8080/validate", "orders:read")(orders))
//
// The caller is tokencheck.Of(request). Needs nothing beside Go 1.21. TOKENS_TRUSTED_PROXIES of the service must have
// this application's address.
package tokencheck

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Token is who calls. Subject is "-" where the token speaks for nobody.
type Token struct {
	ID, Subject, Kind, Name string
	Scopes                  []string
}

type key struct{}

// Of returns the caller of a request that passed.
func Of(r *http.Request) Token { return r.Context().Value(key{}).(Token) }

var (
	asked = []string{"Authorization", "X-Api-Key", "X-Token", "User-Agent"}
	// Nobody but the service says these; they are kept from applications that read headers behind a gateway.
	identity = []string{"x-token-id", "x-token-subject", "x-token-scopes", "x-token-kind", "x-token-name",
		"remote-user", "x-auth-request-user", "x-tokens-retry-key"}
	passedOn = []string{"Www-Authenticate", "Retry-After", "Ratelimit", "Ratelimit-Policy", "Content-Type", "Cache-Control",
		"X-Request-Id"}
	refusals = []int{401, 403, 429, 503}
)

// New makes the check; endpoint may be .../validate/one-time: that one spends the token.
func New(endpoint string, scopes ...string) func(http.Handler) http.Handler {
	// One for all requests: it keeps its connections, and asks again itself when a kept one was closed meanwhile.
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 250 * time.Millisecond}).DialContext,
		MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute,
	}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // else it would take the credential elsewhere, and a yes from there
	}}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer, err := client.Do(question(endpoint, scopes, r))
			if err != nil {
				undecided(w)
				return
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			passed := answer.StatusCode == http.StatusOK && answer.Header.Get("X-Token-Id") != ""
			if err != nil || !passed && !slices.Contains(refusals, answer.StatusCode) {
				undecided(w)
				return
			}
			if !passed {
				for _, name := range passedOn {
					if said, ok := answer.Header[name]; ok {
						w.Header()[name] = said
					}
				}
				w.WriteHeader(answer.StatusCode)
				w.Write(body)
				return
			}
			for name := range r.Header {
				if slices.Contains(identity, strings.ReplaceAll(strings.ToLower(name), "_", "-")) {
					delete(r.Header, name)
				}
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, token(answer.Header))))
		})
	}
}

func question(endpoint string, scopes []string, r *http.Request) *http.Request {
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, endpoint, nil)
	if err != nil {
		panic(err) // the endpoint is no URL
	}
	for _, name := range asked {
		if said, ok := r.Header[name]; ok {
			q.Header[name] = said
		}
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		q.Header.Set("X-Forwarded-For", host)
	}
	if len(scopes) > 0 {
		q.Header.Set("X-Required-Scope", strings.Join(scopes, " "))
	}
	// Says that a question asked again after a lost answer is the same.
	id := make([]byte, 16)
	rand.Read(id)
	q.Header.Set("X-Tokens-Retry-Key", hex.EncodeToString(id))
	return q
}

func token(h http.Header) Token {
	name, _ := url.PathUnescape(h.Get("X-Token-Name"))
	t := Token{ID: h.Get("X-Token-Id"), Subject: h.Get("X-Token-Subject"), Kind: h.Get("X-Token-Kind"), Name: name, Scopes: []string{}}
	if scopes := h.Get("X-Token-Scopes"); scopes != "-" {
		t.Scopes = strings.Fields(scopes)
	}
	return t
}

func undecided(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
}
