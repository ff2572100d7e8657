defmodule Counter.JSONTest do
  use ExUnit.Case, async: true

  defp encode(term), do: IO.iodata_to_binary(Counter.JSON.encode(term))

  test "encodes what the endpoint needs" do
    assert encode(%{b: [1, -2], a: %{"x" => nil}, c: true}) == ~S({"a":{"x":null},"b":[1,-2],"c":true})
    assert encode([]) == "[]"
    assert encode(%{}) == "{}"
    assert encode(:closed) == ~S("closed")
    assert encode(:erlang.list_to_pid(~c"<0.1.0>")) == ~S("<0.1.0>")
  end

  test "escapes quotes, backslashes and control characters, and keeps the rest" do
    assert encode("a\"b\\c\nd\te") == ~S("a\"b\\c\u000ad\u0009e")
    assert encode("für ∀") == ~S("für ∀")
  end
end
