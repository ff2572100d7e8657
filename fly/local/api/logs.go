package api

import (
	"net/http"
	"strconv"
	"time"
)

type logAttributes struct {
	Timestamp string `json:"timestamp"`
	Message   string `json:"message"`
	Level     string `json:"level"`
	Instance  string `json:"instance"`
	Region    string `json:"region"`
}

type logEntry struct {
	ID         string        `json:"id"`
	Type       string        `json:"type"`
	Attributes logAttributes `json:"attributes"`
}

type logAnswer struct {
	Data []logEntry `json:"data"`
	Meta struct {
		NextToken string `json:"next_token"`
	} `json:"meta"`
}

// logs are what the machines print. It is an endpoint of https://api.fly.io, not of the Machines API. Source: fly-go v0.5.0,
// resource_logs.go. Fly numbers lines by their time; here the token is their number. Every line has the level info, as Fly gives it to
// what an app prints.
func (a *API) logs(r *http.Request) (any, error) {
	query, from := r.URL.Query(), -1
	if token := query.Get("next_token"); token != "" {
		var err error
		if from, err = strconv.Atoi(token); err != nil || from < 0 {
			return nil, refuse(http.StatusBadRequest, "invalid next_token")
		}
	}
	lines, next := a.config.Machines.Lines(query.Get("instance"), from)
	answer := logAnswer{Data: []logEntry{}}
	answer.Meta.NextToken = strconv.Itoa(next)
	for _, l := range lines {
		m, there := a.config.Machines.Get(l.Machine)
		if !there {
			continue
		}
		region := m.Snapshot().Region
		if want := query.Get("region"); want != "" && want != region {
			continue
		}
		answer.Data = append(answer.Data, logEntry{ID: strconv.Itoa(next), Type: "log", Attributes: logAttributes{
			Timestamp: l.At.UTC().Format(time.RFC3339Nano), Message: l.Text, Level: "info", Instance: l.Machine, Region: region,
		}})
	}
	return answer, nil
}
