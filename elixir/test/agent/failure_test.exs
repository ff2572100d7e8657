defmodule FlyDeployAgent.FailureTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Failure

  test "the shape of a state tells types and keys, never values" do
    state = %{
      token: "secret-7",
      count: 4_711,
      uri: URI.parse("https://secret.example"),
      list: [:secret],
      pair: {1.5, self()}
    }

    shape = Failure.shape(state)

    assert shape =~ "token: string"
    assert shape =~ "count: integer"
    assert shape =~ "%URI{"
    assert shape =~ "list: [atom]"
    assert shape =~ "pair: {float, pid}"
    refute shape =~ "secret"
    refute shape =~ "4711"
  end

  test "large and deep states are cut" do
    assert String.length(Failure.shape(Map.new(1..10_000, &{&1, &1}))) < 210
    assert Failure.shape([[[[[[[1]]]]]]]) =~ "…"
  end

  test "a raised exception keeps its own text, and its stack without arguments" do
    {reason, stack} =
      try do
        raise ArgumentError, "the book is closed"
      rescue
        exception ->
          {exception, [{Shop, :code_change, ["secret", %{}], [file: ~c"shop.ex", line: 7]} | __STACKTRACE__]}
      end

    told = Failure.explain({:error, {:EXIT, {reason, stack}}})

    assert told.reason == "raised"
    assert told.exception == "** (ArgumentError) the book is closed"
    assert hd(told.stack) =~ "shop.ex:7: Shop.code_change/2"
    refute Enum.join(told.stack) =~ "secret"
  end

  test "exceptions of the language do not carry their value" do
    for {reason, expected} <- [
          {{:badmatch, %{password: "secret"}}, "no match of right hand side value: %{password: string}"},
          {{:case_clause, "secret"}, "no case clause matching: string"},
          {{:badkey, :owner, %{name: "secret"}}, "key :owner not found in: %{name: string}"}
        ] do
      told = Failure.explain({:error, {:EXIT, {reason, [{Shop, :code_change, 3, []}]}}})
      assert told.exception =~ expected
      refute told.exception =~ "secret"
    end
  end

  test "other answers of code_change are bad returns" do
    assert %{reason: "bad_return", state_after: "string"} = Failure.explain({:error, "secret"})
    assert %{reason: "not_suspended"} = Failure.explain({:error, {:unknown_system_msg, :change_code}})
    assert %{reason: "exited", exception: "exit with atom"} = Failure.explain({:error, {:EXIT, :shutdown}})
  end

  test "whatever code_change exits with can be told" do
    for reason <- [{:bad, [1 | "secret"]}, {:bad, [{Shop, :code_change, 3, []} | :secret]}, {:bad, [1, 2]}] do
      assert %{reason: "exited"} = told = Failure.explain({:error, {:EXIT, reason}})
      refute inspect(told) =~ "secret"
    end
  end
end
