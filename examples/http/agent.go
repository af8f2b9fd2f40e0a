// An agent in Go: repeats what is said, and with a secret answers nobody else.
// CHIMEIN_AGENT_SECRET=whsec_… go run examples/http/agent.go 9000
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func isOurs(headers http.Header, body []byte) bool {
	secret, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("CHIMEIN_AGENT_SECRET"), "whsec_"))
	at, err := time.ParseDuration(headers.Get("webhook-timestamp") + "s")
	isFresh := err == nil && time.Since(time.Unix(0, int64(at))).Abs() < 5*time.Minute
	mac, isSigned := hmac.New(sha256.New, secret), false
	io.WriteString(mac, headers.Get("webhook-id")+"."+headers.Get("webhook-timestamp")+"."+string(body))
	for _, given := range strings.Fields(headers.Get("webhook-signature")) {
		isSigned = isSigned || hmac.Equal([]byte(given), []byte("v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))))
	}
	return len(secret) == 0 || isSigned && isFresh
}

func main() {
	http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		turn, replies := struct{ Messages []struct{ Body string } }{}, []string{}
		if body, _ := io.ReadAll(request.Body); !isOurs(request.Header, body) || json.Unmarshal(body, &turn) != nil {
			answer.WriteHeader(http.StatusUnauthorized)
		}
		for _, message := range turn.Messages {
			replies = append(replies, "You said: "+message.Body)
		}
		json.NewEncoder(answer).Encode(map[string]any{"replies": replies})
	}))
}
