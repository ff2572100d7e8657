defmodule FlyDeployAgent.Pair do
  @moduledoc """
  Both versions of a module that changes: `old` and `new` are its facts (`FlyDeployAgent.CodeFacts.read/1`, old nil for an added one),
  `old_code` and `new_code` read its code.
  """

  alias FlyDeployAgent.CodeFacts

  # What a behaviour's process calls in any case.
  @callbacks %{
    GenServer => [init: 1, handle_call: 3, handle_cast: 2],
    :gen_server => [init: 1, handle_call: 3, handle_cast: 2],
    :gen_statem => [init: 1, callback_mode: 0],
    :gen_event => [init: 1, handle_event: 2, handle_call: 2],
    :supervisor => [init: 1],
    Supervisor => [init: 1],
    DynamicSupervisor => [init: 1]
  }

  @enforce_keys [:module, :old, :new, :old_code, :new_code]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          module: module,
          old: CodeFacts.t() | nil,
          new: CodeFacts.t(),
          old_code: (() -> CodeFacts.code()),
          new_code: (() -> CodeFacts.code())
        }

  @doc "The code of a version."
  @spec code(t, :old | :new) :: CodeFacts.code()
  def code(pair, :old), do: pair.old_code.()
  def code(pair, :new), do: pair.new_code.()

  @doc "Whether what these functions do differs, with what they call within the module."
  @spec differs?(t, [{atom, arity}]) :: boolean
  def differs?(%{module: module} = pair, roots) do
    [old, new] = for version <- [:old, :new], do: pair |> code(version) |> CodeFacts.reached(module, roots)
    old != new
  end

  @doc "Whether both versions export this function."
  @spec both?(t, {atom, arity}) :: boolean
  def both?(%{old: old, new: new}, function), do: function in old.exports and function in new.exports

  @doc "The behaviours that a module gave up, with their callbacks that it has no more."
  @spec behaviours_lost(t) :: [{module, [binary]}]
  def behaviours_lost(%{old: old, new: new}) do
    for behaviour <- old.behaviours -- new.behaviours,
        callbacks = Map.get(@callbacks, behaviour, []),
        missing = for({f, a} = callback <- callbacks, callback not in new.exports, do: "#{f}/#{a}"),
        missing != [],
        do: {behaviour, missing}
  end

  @doc "Whether the new version has a `code_change` of this arity that is asked for and does something."
  @spec migrates?(t, 3 | 4) :: boolean
  def migrates?(%{old: old, new: new} = pair, arity) do
    {:code_change, arity} in new.exports and not same_version?(old, new) and
      (arity == 4 or not CodeFacts.keeps_state?(code(pair, :new)[{:code_change, arity}]))
  end

  # Somebody has written by hand that both versions have the same state.
  defp same_version?(%{vsn: vsn}, %{vsn: vsn}), do: CodeFacts.written?(vsn)
  defp same_version?(_old, _new), do: false
end
