package fly_test

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"
)

// What is said again is not decoded again, and means the same; what is said otherwise, or of another machine, counts at once.
func TestAListIsReadAsAWholeEachTime(t *testing.T) {
	t.Parallel()
	machine := func(id, state string) string {
		return fmt.Sprintf(`{"id":%q, "state":%q, "name":"a,b]} \"{[\\", "checks":[{"name":"alive","status":"critical"}], "config":{"env":{"A":"[,"}}}`, id, state)
	}
	a, b := machine("a", "started"), machine("b", "stopped")
	lists := []string{
		"[" + a + "," + b + "]", "[" + a + "," + b + "]", " [ " + b + " , " + a + " ]\n", "[" + a + "]", "[]", "[" + a + "," + machine("b", "started") + "]",
		"null", "[" + machine("a", "destroyed") + ",null," + b + "]", "[" + a + "," + a + "]",
	}
	want := [][]string{{"a started", "b stopped"}, {"a started", "b stopped"}, {"b stopped", "a started"}, {"a started"}, nil, {"a started", "b started"}, nil, {"b stopped"}, {"a started", "a started"}}
	var replies []http.HandlerFunc
	for _, list := range lists {
		replies = append(replies, reply(200, list))
	}
	handler, _ := inTurn(replies...)
	c := serve(t, map[string]http.HandlerFunc{"GET ": handler})
	for i := range lists {
		machines, err := c.Machines(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", lists[i], err)
		}
		var got []string
		for j, m := range machines {
			got = append(got, m.ID+" "+string(m.State))
			if m.Name != `a,b]} "{[\` || len(m.ChecksFailing) != 1 {
				t.Errorf("%+v", m)
			}
			machines[j].Name = "changed by whom it was given to"
		}
		if !reflect.DeepEqual(got, want[i]) {
			t.Errorf("%s is %v, want %v", lists[i], got, want[i])
		}
	}
}

func TestAListThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"{}", "", "[", "[{]", "[,]", `[{"id":"a"},]`, `[{"id":1}]`, `[{"id":"a"}]x`, `[{"id":"a"} {"id":"b"}]`, `["a"]`} {
		t.Run(list, func(t *testing.T) {
			t.Parallel()
			handler, calls := inTurn(reply(200, list), reply(404, "")) // it is asked for again
			c := serve(t, map[string]http.HandlerFunc{"GET ": handler})
			if machines, err := c.Machines(t.Context()); err == nil || calls.total() != 2 {
				t.Errorf("%+v after %d calls: %v", machines, calls.total(), err)
			}
		})
	}
}
