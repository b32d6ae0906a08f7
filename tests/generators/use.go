// Five operations through the client that oapi-codegen made.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"generated/tokens"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func client(url, token string) *tokens.ClientWithResponses {
	bearer := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	return must(tokens.NewClientWithResponses(url, tokens.WithRequestEditorFn(bearer)))
}

func at[T any](value T) *T { return &value }

func main() {
	url, password, all := os.Args[1], os.Args[2], context.Background()
	session := must(client(url, "").CreateSessionWithResponse(all, tokens.SignIn{Username: "admin", Password: password}))
	admin := client(url, session.JSON200.Token)
	issued := must(admin.CreateTokenWithResponse(all, &tokens.CreateTokenParams{}, tokens.CreateToken{
		Name: "go", Duration: at(tokens.N1month), Scopes: &[]string{"orders:read"}}))
	listed := must(admin.ListTokensWithResponse(all, &tokens.ListTokensParams{
		Status: at("active"), Q: at("go"), Limit: at(5)}))
	holder := client(url, issued.JSON201.Token.Token)
	before := must(holder.ValidateWithResponse(all, &tokens.ValidateParams{RequiredScope: &[]string{"orders:read"}}))
	which := tokens.Filter{Q: at("go"), Status: at("active")}
	trial := must(admin.RevokeManyTokensWithResponse(all, tokens.EndTokens{Filter: &which, DryRun: at(true)}))
	found := must(trial.JSON200.AsTokensMatched())
	slice := must(admin.RevokeManyTokensWithResponse(all, tokens.EndTokens{Filter: &which, Expected: &found.Matched}))
	ended := must(slice.JSON200.AsSliceChanged())
	after := must(holder.ValidateWithResponse(all, &tokens.ValidateParams{}))
	fmt.Println(len(listed.JSON200.Tokens), before.StatusCode(), found.Matched, len(ended.Updated), after.StatusCode())
}
