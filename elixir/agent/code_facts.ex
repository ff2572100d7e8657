defmodule FlyDeployAgent.CodeFacts do
  @moduledoc """
  What a .beam says about its module, read without loading it. Releases are stripped, so all of it comes from the chunks that
  the VM itself needs.
  """

  alias FlyDeployAgent.Instructions

  @type t :: %{
          module: module,
          exports: MapSet.t({atom, arity}),
          imports: [mfa],
          behaviours: [module],
          vsn: term,
          struct: [atom] | nil
        }
  # What a function does, by its name and arity.
  @type code :: %{{atom, arity} => [tuple]}

  # The version that the compiler gives to a module without `@vsn`: the md5 of its code, as a number.
  @generated 128

  @doc "The facts of a .beam; `struct` are the fields of the struct that the module defines."
  @spec read(binary) :: {:ok, t} | :error
  def read(beam) do
    case :beam_lib.chunks(beam, [:imports, :exports, :attributes]) do
      {:ok, {module, [imports: imports, exports: exports, attributes: attributes]}} ->
        {:ok,
         %{
           module: module,
           exports: MapSet.new(exports),
           imports: imports,
           behaviours:
             for({key, names} <- attributes, key in [:behaviour, :behavior], name <- names, do: name),
           vsn: vsn(attributes[:vsn]),
           struct: if({:__struct__, 0} in exports, do: fields(module, beam))
         }}

      {:error, :beam_lib, _} ->
        :error
    end
  end

  defp vsn([vsn]), do: vsn
  defp vsn(other), do: other

  @doc "Whether somebody wrote this version by hand: then it is equal as long as the state is."
  @spec written?(term) :: boolean
  def written?(nil), do: false
  def written?(vsn) when is_integer(vsn), do: vsn < Bitwise.bsl(1, @generated - 32)
  def written?(_vsn), do: true

  # The default struct is a literal. Others of the module have the same keys, or fewer where they are patterns.
  defp fields(module, beam) do
    for literal <- literals(beam),
        :binary.match(literal, "__struct__") != :nomatch,
        %{__struct__: ^module} = struct <- [:erlang.binary_to_term(literal)] do
      struct |> Map.delete(:__struct__) |> Map.keys()
    end
    |> Enum.max_by(&length/1, fn -> nil end)
  end

  defp literals(beam) do
    {:ok, {_module, [{_, chunk}]}} = :beam_lib.chunks(beam, [~c"LitT"], [:allow_missing_chunks])
    Instructions.literals(chunk)
  end

  @doc "All texts that a .beam has as atoms and within literals, in one; none of what is no .beam."
  @spec texts(binary) :: binary
  def texts(beam) do
    case named(beam) do
      [] -> ""
      atoms -> IO.iodata_to_binary([Enum.map(atoms, &[Atom.to_string(&1), 0]) | literals(beam)])
    end
  end

  @doc "All atoms that a .beam has, also those that only its literals have; none of what is no .beam."
  @spec atoms(binary) :: [atom]
  def atoms(beam) do
    case named(beam) do
      [] -> []
      atoms -> Enum.uniq(within(for(literal <- literals(beam), do: :erlang.binary_to_term(literal)), atoms))
    end
  end

  # Those of its code, among which its own name is.
  defp named(beam) do
    case :beam_lib.chunks(beam, [:atoms]) do
      {:ok, {_module, [atoms: atoms]}} -> for {_, atom} <- atoms, do: atom
      {:error, :beam_lib, _} -> []
    end
  end

  defp within([], found), do: found
  defp within([atom | rest], found) when is_atom(atom), do: within(rest, [atom | found])
  defp within([[head | tail] | rest], found), do: within([head, tail | rest], found)
  defp within([%{} = map | rest], found), do: within([Map.to_list(map) | rest], found)

  defp within([tuple | rest], found) when is_tuple(tuple),
    do: within(Tuple.to_list(tuple) ++ rest, found)

  defp within([_term | rest], found), do: within(rest, found)

  @doc "What every function does, see `FlyDeployAgent.Instructions`, but for those that the compiler adds to tell of the module."
  @spec functions(binary) :: {:ok, code} | :error
  def functions(beam) do
    with {:ok, functions} <- Instructions.read(beam),
         do: {:ok, Map.drop(functions, __info__: 1, module_info: 0, module_info: 1)}
  end

  @doc "What every function of a file does; none where it cannot be read."
  @spec functions_in(Path.t()) :: code
  def functions_in(file) do
    with {:ok, beam} <- File.read(file),
         {:ok, functions} <- functions(beam) do
      functions
    else
      _unreadable -> %{}
    end
  end

  @doc "The functions that `roots` lead to within their module, `roots` included."
  @spec reached(code, module, [{atom, arity}]) :: code
  def reached(code, module, roots), do: reached(roots, code, module, %{})

  defp reached([], _code, _module, found), do: found

  defp reached([function | rest], code, module, found) do
    if is_map_key(found, function) or not is_map_key(code, function) do
      reached(rest, code, module, found)
    else
      body = code[function]
      next = for {^module, name, arity} <- calls(body), do: {name, arity}
      reached(next ++ rest, code, module, Map.put(found, function, body))
    end
  end

  @doc "Whether a module is one of others, or may call one of them: its file tells, if it has one."
  @spec concerned?(module, MapSet.t(module)) :: boolean
  def concerned?(module, modules) do
    with false <- module in modules,
         [_ | _] = file <- :code.which(module),
         {:ok, {_, [imports: imports]}} <- :beam_lib.chunks(file, [:imports]) do
      Enum.any?(imports, fn {m, _, _} -> m in modules end)
    else
      _ -> true
    end
  end

  @doc "The functions that code calls or captures, those of its own module included."
  @spec calls([term]) :: [mfa]
  def calls(body), do: body |> Enum.flat_map(&called/1) |> Enum.uniq()

  defp called(op) when elem(op, 0) == :make_fun, do: [elem(op, 1)]

  defp called({:move, {:literal, fun}, _to}) when is_function(fun) do
    info = Function.info(fun)
    [{info[:module], info[:name], info[:arity]}]
  end

  defp called(op) when is_tuple(op) and tuple_size(op) >= 3 do
    case elem(op, 2) do
      {:extfunc, m, f, a} -> [{m, f, a}]
      {m, f, a} when elem(op, 0) in [:call, :call_only, :call_last] -> [{m, f, a}]
      _ -> []
    end
  end

  defp called(_op), do: []

  @doc "The value of a function that only returns one, `{:ok, value}`."
  @spec constant([term] | nil) :: {:ok, term} | :error
  def constant([{:label, _}, {:func_info, _, _, _}, {:label, _}, {:move, value, {:x, 0}}, {:return}]) do
    case value do
      nil -> {:ok, []}
      {kind, value} when kind in [:atom, :literal, :integer] -> {:ok, value}
      _ -> :error
    end
  end

  def constant(_code), do: :error

  @doc """
  Whether a `code_change` gives the state back as it came, as the one that `use GenServer` brings does: then its presence says
  nothing.
  """
  @spec keeps_state?([term] | nil) :: boolean
  def keeps_state?([{:label, _}, {:func_info, _, _, _}, {:label, _} | body]) do
    case Enum.reject(body, &match?({:test_heap, _, _}, &1)) do
      [{:put_tuple2, {:x, 0}, {:list, [{:atom, :ok}, {:x, 1}]}}, {:return}] -> true
      [{:put_tuple2, {:x, 0}, {:list, [{:atom, :ok}, {:x, 1}, {:x, 2}]}}, {:return}] -> true
      _ -> false
    end
  end

  def keeps_state?(_code), do: false
end
