package described

import "regexp"

// known are deviations in which other public sources differ from the description, and are followed.
var known = []struct {
	deviation *regexp.Regexp
	source    string
}{
	{regexp.MustCompile(`\.force_instance_key is null`), "fly-go, machine_types.go: MachineService, whose field is not left out"},
	{regexp.MustCompile(`/lease: answer\.(status|data) is not described`), "fly-go, machine_types.go: MachineLease"},
	{regexp.MustCompile(`POST .*/lease: (the parameter ttl is not described|request is no JSON)`), "fly-go, flaps_machines.go: AcquireLease sends the time in the query, and no body"},
	{regexp.MustCompile(`DELETE .*: the parameter kill is not described`), "fly-go, flaps_machines.go: Destroy"},
	{regexp.MustCompile(`/start: a body is not described in the answer`), "fly-go, machine_types.go: MachineStartResponse"},
	{regexp.MustCompile(`/stop: request\.id is not described`), "fly-go, machine_types.go: StopMachineInput"},
	{regexp.MustCompile(`/signal: request\.signal is none of`), "fly-go, flaps_machines.go: Kill sends a number"},
	{regexp.MustCompile(`^GET /api/v1/apps/[^/]*/logs is not described`), "fly-go, resource_logs.go: it is another API's"},
	{regexp.MustCompile(`/restart: the parameter force_stop is not described`), "fly-go, flaps_machines.go: Restart"},
}

func isKnown(deviation string) bool {
	for _, k := range known {
		if k.deviation.MatchString(deviation) {
			return true
		}
	}
	return false
}
